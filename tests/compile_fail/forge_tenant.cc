// refused: private constructor
#include "tenancy/tenant.h"
coditect::Tenant tenant(1);
