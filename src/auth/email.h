#pragma once
#include <string>
#include <string_view>

#include "base/error.h"

namespace coditect::auth {

/// The address in lower case, or the rule it breaks. ASCII only: addresses are compared byte by
/// byte.
Result<std::string> valid_email(std::string_view text);

}  // namespace coditect::auth
