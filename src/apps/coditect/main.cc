#include "apps/coditect/application.h"

int main(int argc, char** argv) {
  return coditect::app::run_program(argc, argv, coditect::app::platform());
}
