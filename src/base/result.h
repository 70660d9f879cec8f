// Result<T>: a value or an Error. The one error style of Farshore: no exception crosses a module's
// border.
//
// An Error's `what` names the object, the value and the remedy ("slot 'farshore_orders' lost WAL
// before 0/5A1: run `farshore stream resnapshot orders`"). A kind exists only because some caller
// branches on it. Errors are logged where they are handled, never where they are passed on.
#pragma once

#include <fmt/format.h>

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "base/check.h"

namespace farshore {

enum class ErrorKind {
  invalid,      // bad input, configuration or bytes: the same call fails again
  unavailable,  // the other side is not there or hung up
  timeout,      // a deadline passed; whether the call took effect is not known
  closed,       // we were asked to stop: the object was closed under the call
  io,           // disk: read, write or sync failed
  disk_full,    // no space left; nothing was written
  corrupt,      // stored or received bytes contradict their checksum or format
  overtaken,    // what is asked for was already trimmed away
  conflict,     // state forbids it: another holder, another identity, a stale epoch
  denied,       // a privilege or certificate is missing
  rejected,     // the target cannot hold the data: schema or row differs
  not_found,    // the numbers travel (docs/formats/ship.md): a new kind goes behind it
};

enum class Retry {
  no,
  yes
};  // yes: the same call may succeed later without anybody changing anything

struct [[nodiscard]] Error {
  ErrorKind kind = ErrorKind::invalid;
  Retry retry = Retry::no;
  std::string what;
};

const char* name_of(ErrorKind kind);

template <class... Args>
Error permanent(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  return Error{kind, Retry::no, fmt::format(format, std::forward<Args>(args)...)};
}

template <class... Args>
Error transient(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  return Error{kind, Retry::yes, fmt::format(format, std::forward<Args>(args)...)};
}

// The same error with the name of what was being done put before it.
inline Error within(std::string_view context, Error error) {
  error.what = fmt::format("{}: {}", context, error.what);
  return error;
}

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value)
      : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT(google-explicit-constructor)
  Result(Error error)
      : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(value()); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  T& value() {
    FARSHORE_CHECK(ok(), "value of a failed Result: {}", std::get<1>(state_).what);
    return std::get<0>(state_);
  }
  const T& value() const { return const_cast<Result*>(this)->value(); }

  const Error& error() const& {
    FARSHORE_CHECK(!ok(), "error of a Result that holds a value");
    return std::get<1>(state_);
  }
  Error error() && {
    FARSHORE_CHECK(!ok(), "error of a Result that holds a value");
    return std::get<1>(std::move(state_));
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const& {
    FARSHORE_CHECK(!ok(), "error of a Result that holds no error");
    return *error_;
  }
  Error error() && {
    FARSHORE_CHECK(!ok(), "error of a Result that holds no error");
    return std::move(*error_);
  }

 private:
  std::optional<Error> error_;
};

#define FARSHORE_JOIN_(a, b) a##b
#define FARSHORE_JOIN(a, b) FARSHORE_JOIN_(a, b)

// FARSHORE_TRY(call());               passes an error on
// FARSHORE_TRY_ASSIGN(auto x, call()) passes an error on, else assigns the value
#define FARSHORE_TRY(expression)                                                       \
  do {                                                                                 \
    if (auto result_ = (expression); !result_.ok()) return std::move(result_).error(); \
  } while (false)
#define FARSHORE_TRY_ASSIGN_(name, target, expression) \
  auto name = (expression);                            \
  if (!name.ok()) return std::move(name).error();      \
  target = *std::move(name)
#define FARSHORE_TRY_ASSIGN(target, expression) \
  FARSHORE_TRY_ASSIGN_(FARSHORE_JOIN(result_, __LINE__), target, expression)

}  // namespace farshore
