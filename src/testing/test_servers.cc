#include "testing/run_test_servers.h"

int main(int argc, char** argv) {
  return coditect::testing::run_test_servers(argc, argv, coditect::app::platform());
}
