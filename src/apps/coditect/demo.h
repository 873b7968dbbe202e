#pragma once
#include <functional>
#include <string>

#include "apps/coditect/application.h"

namespace coditect::app {

/// Makes two organizations with things in them, and says how to try them. Their passwords come from
/// the installation's `secret`; their keys are shown this once.
void greet_first_time(const Application& application, const std::string& base,
                      const std::string& secret,
                      const std::function<void(const std::string&)>& say);

}  // namespace coditect::app
