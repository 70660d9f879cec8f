// The one table of keys: what may stand where in farshore.yaml, of what type, within what bounds,
// and what it is for. The reader, the differences, the definitions and the reference in
// docs/operating/configuration.md are all driven by it. A key's name has dots where the file nests:
// `journal.keep` is `keep` inside `journal`. Defaults are the structs' own.
#pragma once

#include <span>
#include <string_view>

#include "config/config.h"
#include "config/value.h"

namespace farshore::config {

// Where it matters. definition: it says what the stream is: the source's region owns it, and both
// must agree; local: addresses, credentials and limits, of each region's own;
// inherited: only what the stream's targets take when they say nothing, so it is part of them.
enum class Reach : std::uint8_t { local, definition, inherited };

template <class Scope>
struct Key {
  std::string_view name;
  Field (*field)(Scope&) = nullptr;  // nullptr: a list or a section, read by hand
  Form form = Form::value;
  Bounds bounds;
  bool required = false;
  Reach reach = Reach::local;
  bool no_effect_yet = false;  // read and kept; a later version acts on it: a warning says so
  bool in_defaults = true;     // of a stream: may stand under `defaults`
  std::string_view help;
};

// The file itself: its only value is the name; the rest are the sections below.
std::span<const Key<Config>> file_keys();
std::span<const Key<link::Options>> link_keys();
std::span<const Key<RegionConfig>> region_keys();
std::span<const Key<SiteConfig>> site_keys();
std::span<const Key<StreamConfig>> stream_keys();
std::span<const Key<TargetConfig>> target_keys();
std::span<const Key<TableRule>> rule_keys();

// The same fields, to be read only.
template <class Scope>
std::string show(const Key<Scope>& key, const Scope& scope) {
  return show_value(key.field(const_cast<Scope&>(scope)));
}

}  // namespace farshore::config
