#include "async/loop.h"

namespace coditect::async {

Loops::Loops(int count) {
  for (int i = 0; i < count; ++i) loops_.push_back(std::make_unique<Loop>(i));
}

Loops::~Loops() { stop(); }

void Loops::start() {
  for (auto& loop : loops_) threads_.emplace_back([io = &loop->io()] { io->run(); });
}

void Loops::stop() {
  for (auto& loop : loops_) loop->io().stop();
  for (auto& thread : threads_) thread.join();
  threads_.clear();
}

}  // namespace coditect::async
