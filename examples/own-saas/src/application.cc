#include "application.h"

#include "customers/handlers.h"
#include "invoices/handlers.h"
#include "tables.h"

namespace own_saas {

std::span<const coditect::EmbeddedFile> migration_files();

coditect::app::Application application() {
  auto out = coditect::app::core();
  out.name = "own-saas";
  out.version = OWN_SAAS_VERSION;
  out.description = "Invoices for small companies, built on Coditect.";
  out.use_tables<Registry>();
  out.add_migrations("own_saas", migration_files());
  out.slices.push_back(customers::add_routes);
  out.slices.push_back(invoices::add_routes);
  // new slices above this line
  return out;
}

}  // namespace own_saas
