#pragma once
#include "async/async.h"

namespace coditect::async {

/// Deadlines for many connections at the price of one timer: every tick it looks at all armed
/// entries, so arming costs two stores and a deadline is late by one tick at most. One per loop.
class Watchdog {
 public:
  static constexpr std::chrono::milliseconds kTick{20};

  explicit Watchdog(asio::io_context& io);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  class Entry {
   public:
    explicit Entry(Watchdog& dog);
    virtual ~Entry();
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

    void arm(Deadline deadline) { deadline_ = deadline; }
    void disarm() { deadline_ = Deadline::max(); }

   protected:
    /// The armed deadline has passed; the entry is disarmed. Must not destroy any entry.
    virtual void on_deadline() = 0;

   private:
    friend class Watchdog;
    Entry() = default;
    Entry* previous_ = this;
    Entry* next_ = this;
    Deadline deadline_ = Deadline::max();
  };

 private:
  class Head : public Entry {
   public:
    Head() = default;
    void on_deadline() override {}
  };
  void schedule();
  void tick();

  asio::steady_timer timer_;
  Head head_;
};

}  // namespace coditect::async
