#include "api/views_json.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "api/fake_agent.h"
#include "api/routes.h"

namespace farshore::api {
namespace {

using Json = nlohmann::ordered_json;

std::string golden(const std::string& name) {
  const std::string here = __FILE__;
  std::ifstream file(here.substr(0, here.rfind("src/api/")) + "docs/" + name);
  return std::string((std::istreambuf_iterator<char>(file)), {});
}

constexpr const char* kHealthyStream = R"({
  "name": "orders",
  "id": "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
  "engine": "postgres",
  "from": "orders-us",
  "from_region": "us-east-1",
  "state": "copying",
  "capture": {
    "state": "streaming",
    "reason": null,
    "remedy": null,
    "retry_in_seconds": null,
    "lag": {
      "age_seconds": 0.012,
      "transit_seconds": 0.009
    },
    "position": "0/16B3748",
    "retained_bytes": 12582912,
    "behind_bytes": 0,
    "hours_to_retain_max": null,
    "hours_to_wal_max": 7.5,
    "open_transactions": 3,
    "heartbeat_at": "2026-11-24T16:17:11.900Z",
    "per_second": {
      "transactions": 1020.0,
      "changes": 4080.0,
      "bytes": 812000.0
    },
    "totals": {
      "transactions": 120000,
      "changes": 480000,
      "bytes": 99000000,
      "from_place": "1:1"
    }
  },
  "targets": [
    {
      "site": "orders-eu",
      "region": "eu-west-1",
      "state": "streaming",
      "reason": null,
      "remedy": null,
      "retry_in_seconds": null,
      "lag": {
        "capture": {
          "age_seconds": 0.012,
          "transit_seconds": 0.009
        },
        "durability": {
          "age_seconds": 0.13,
          "transit_seconds": 0.084
        },
        "apply": {
          "age_seconds": 0.16,
          "transit_seconds": 0.101
        }
      },
      "backlog": {
        "to_ship": {
          "bytes": 65536,
          "transactions": 30,
          "changes": 120
        },
        "to_apply": {
          "bytes": 0,
          "transactions": 0,
          "changes": 0
        }
      },
      "durable_place": "1:991230",
      "applied_place": "1:991200",
      "durable_commit_time": "2026-11-24T16:17:12.215Z",
      "applied_commit_time": "2026-11-24T16:17:12.185Z",
      "paused_until": null,
      "per_second": {
        "transactions": 990.0,
        "changes": 3960.0,
        "bytes": 790000.0
      },
      "totals": {
        "shipped": {
          "transactions": 119970,
          "changes": 479880,
          "bytes": 98900000,
          "from_place": null
        },
        "applied": {
          "transactions": 119970,
          "changes": 479880,
          "bytes": 98900000,
          "from_place": null
        }
      },
      "copy": null
    }
  ],
  "journal": {
    "health": "good",
    "reason": null,
    "bytes": 1288490189,
    "bytes_max": 53687091200,
    "first_place": "1:1",
    "durable_place": "1:991260",
    "hours_to_bytes_max": 31.5,
    "hours_to_disk_full": null
  }
})";

TEST(ViewsJson, AHealthyTargetReadsLikeThis) {
  AgentView view = sample_view();
  view.streams.resize(1);
  view.streams[0].targets.resize(1);
  EXPECT_EQ(to_json(view.streams[0]).dump(2), kHealthyStream);
}

TEST(ViewsJson, WhatIsNotKnownIsNull) {
  const Json json =
      to_json(StreamView{.name = "s", .capture = CaptureView{}, .targets = {{.site = "t"}}});
  for (const char* path :
       {"/capture/lag/age_seconds", "/capture/position", "/capture/retained_bytes",
        "/capture/totals/transactions", "/capture/totals/from_place",
        "/targets/0/lag/durability/age_seconds", "/targets/0/lag/apply/transit_seconds",
        "/targets/0/backlog/to_ship/bytes", "/targets/0/per_second/changes",
        "/targets/0/durable_place", "/targets/0/copy", "/journal"})
    EXPECT_TRUE(json.at(Json::json_pointer(path)).is_null()) << path;
  EXPECT_TRUE(to_json(StreamView{}).at("capture").is_null());
  EXPECT_TRUE(to_json(AgentView{.peers = {LinkView{}}})["links"][0]["rtt_seconds"].is_null());
}

TEST(ViewsJson, ARateThatIsNoNumberIsNull) {
  CaptureView capture;
  capture.rates.bytes = std::nan("");
  const Json json = to_json(StreamView{.capture = capture});
  EXPECT_TRUE(json["capture"]["per_second"]["bytes"].is_null());
}

TEST(ViewsJson, StatesAreThoseOfTheDocument) {
  std::set<std::string> names;
  for (State state : kStates) names.insert(name_of(state));
  EXPECT_EQ(names, (std::set<std::string>{"starting", "copying", "streaming", "paused", "degraded",
                                          "config-differs", "failed", "draining", "stopped"}));
}

TEST(ViewsJson, FindingsAreCountedByLevel) {
  using enum FindingView::Level;
  const Json json = to_json(std::vector<FindingView>{
      {.level = error, .code = "wal_level", .object = "site a", .message = "m", .remedy = "r"},
      {.level = note}});
  EXPECT_EQ(json["errors"], 1);
  EXPECT_EQ(json["warnings"], 0);
  EXPECT_EQ(json["notes"], 1);
  EXPECT_EQ(json["findings"][0]["code"], "wal_level");
  EXPECT_TRUE(json["findings"][1]["remedy"].is_null());
}

// --- docs/openapi.yaml

void collect_names(const Json& json, std::set<std::string>& names) {
  for (const auto& [name, value] : json.items()) {
    if (json.is_object()) names.insert(name);
    if (value.is_structured()) collect_names(value, names);
  }
}

TEST(OpenApi, DescribesEveryRoute) {
  const std::string document = golden("openapi.yaml");
  for (const std::string& route : route_names()) {
    const std::string path = route.substr(route.find(' ') + 1);
    EXPECT_NE(document.find("\n  " + path + ":\n"), std::string::npos) << route;
  }
}

TEST(OpenApi, DescribesEveryField) {
  const std::string document = golden("openapi.yaml");
  std::set<std::string> names;
  collect_names(to_json(sample_view()), names);
  collect_names(to_json(std::vector<FindingView>{{}}), names);
  collect_names(to_json(Error{}), names);
  collect_names(Json::parse(events::event_line({.id = 1})), names);
  for (const std::string& name : names)
    EXPECT_NE(document.find(" " + name + ":"), std::string::npos) << name;
}

}  // namespace
}  // namespace farshore::api
