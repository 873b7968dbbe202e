// The product's tables as the database has them.
#include <gtest/gtest.h>

#include "schema/verify.h"
#include "tables.h"
#include "testing/servers.h"

namespace own_saas {
namespace {

TEST(Catalog, AgreesWithTheRegistry) {
  const auto problems = coditect::schema::verify_cell(
      coditect::testing::Databases::get().cell_as_administrator(), Registry::tables);
  EXPECT_TRUE(problems.empty()) << problems.front();
}

}  // namespace
}  // namespace own_saas
