#include "application.h"

int main(int argc, char** argv) {
  return coditect::app::run_program(argc, argv, own_saas::application());
}
