#pragma once
#include "apps/coditect/application.h"
#include "apps/coditect/embedded.h"
#include "apps/coditect/program_settings.h"

namespace coditect::app {

/// Makes the private servers a Citus cluster, or what was added to it a part of it. Workers that
/// were taken out do not come back by themselves; one whose port has changed is found again.
void prepare_private_cluster(const Application& application, const ProgramSettings& settings,
                             const StateDir& state, const EmbeddedServers& servers);

}  // namespace coditect::app
