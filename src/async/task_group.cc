#include "async/task_group.h"

#include "base/check.h"
#include "obs/log.h"

namespace coditect::async {

TaskGroup::~TaskGroup() { CHECK(tasks_.empty() || io_.stopped()); }

void TaskGroup::spawn(std::string_view name, Async<> work) {
  if (stopping_) return;
  const auto task = tasks_.emplace(tasks_.end());
  asio::co_spawn(io_, std::move(work),
                 asio::bind_cancellation_slot(
                     task->signal.slot(),
                     [this, task, label = std::string(name)](const std::exception_ptr& thrown) {
                       try {
                         if (thrown && !stopping_) std::rethrow_exception(thrown);
                       } catch (const std::exception& e) {  // a boundary: nobody awaits this task
                         obs::log(obs::Level::error, "background task failed",
                                  {{"task", label}, {"error", e.what()}});
                       }
                       tasks_.erase(task);
                       if (tasks_.empty()) idle_.cancel();
                     }));
}

Async<> TaskGroup::stop() {
  stopping_ = true;
  for (auto it = tasks_.begin(); it != tasks_.end();) {
    auto& task = *it++;
    task.signal.emit(asio::cancellation_type::terminal);
  }
  co_await drained(Deadline::max());
}

Async<bool> TaskGroup::drained(Deadline deadline) {
  while (!tasks_.empty()) {
    if (deadline != Deadline::max() && remaining(deadline).count() == 0) co_return false;
    idle_.expires_at(deadline);
    boost::system::error_code ec;
    co_await idle_.async_wait(asio::redirect_error(asio::use_awaitable, ec));
  }
  co_return true;
}

}  // namespace coditect::async
