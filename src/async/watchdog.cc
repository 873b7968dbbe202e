#include "async/watchdog.h"

namespace coditect::async {

Watchdog::Watchdog(asio::io_context& io) : timer_(io) { schedule(); }
Watchdog::~Watchdog() = default;

Watchdog::Entry::Entry(Watchdog& dog) : previous_(dog.head_.previous_), next_(&dog.head_) {
  previous_->next_ = this;
  next_->previous_ = this;
}

Watchdog::Entry::~Entry() {
  previous_->next_ = next_;
  next_->previous_ = previous_;
}

void Watchdog::schedule() {
  timer_.expires_after(kTick);
  timer_.async_wait([this](boost::system::error_code e) {
    if (e) return;  // the loop is going away, and this object with it
    tick();
    schedule();
  });
}

void Watchdog::tick() {
  const auto at = std::chrono::steady_clock::now();
  for (Entry* entry = head_.next_; entry != &head_; entry = entry->next_) {
    if (entry->deadline_ > at) continue;
    entry->disarm();
    entry->on_deadline();
  }
}

}  // namespace coditect::async
