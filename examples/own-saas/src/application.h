#pragma once
#include "apps/coditect/application.h"

namespace own_saas {

/// The platform's core with the tables, migrations and slices of this product.
coditect::app::Application application();

}  // namespace own_saas
