#include "base/result.h"

namespace farshore {

const char* name_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::invalid:
      return "invalid";
    case ErrorKind::unavailable:
      return "unavailable";
    case ErrorKind::timeout:
      return "timeout";
    case ErrorKind::closed:
      return "closed";
    case ErrorKind::io:
      return "io";
    case ErrorKind::disk_full:
      return "disk-full";
    case ErrorKind::corrupt:
      return "corrupt";
    case ErrorKind::overtaken:
      return "overtaken";
    case ErrorKind::conflict:
      return "conflict";
    case ErrorKind::denied:
      return "denied";
    case ErrorKind::rejected:
      return "rejected";
    case ErrorKind::not_found:
      return "not-found";
  }
  return "unknown";
}

}  // namespace farshore
