// refused: deleted\|invalid operands\|no viable
#include "base/secret.h"
std::string leak(const coditect::Secret& s) { return "password " + s; }
