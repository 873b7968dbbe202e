// Two tiny programs that g++ 12.2 miscompiles; see CompilerProbe.cmake.
#include <coroutine>
#include <exception>
#include <functional>
#include <string>
#include <utility>

struct Task {
  struct promise_type {
    std::string value;
    std::coroutine_handle<> waiter;
    Task get_return_object() {
      return Task{std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    auto final_suspend() noexcept {
      struct Awaiter {
        bool await_ready() noexcept { return false; }
        std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> h) noexcept {
          return h.promise().waiter ? h.promise().waiter : std::noop_coroutine();
        }
        void await_resume() noexcept {}
      };
      return Awaiter{};
    }
    void return_value(std::string v) { value = std::move(v); }
    void unhandled_exception() { std::terminate(); }
  };
  std::coroutine_handle<promise_type> handle;
  explicit Task(std::coroutine_handle<promise_type> h) : handle(h) {}
  Task(Task&& other) noexcept : handle(std::exchange(other.handle, {})) {}
  ~Task() {
    if (handle) handle.destroy();
  }
  bool await_ready() { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> h) {
    handle.promise().waiter = h;
    return handle;
  }
  std::string await_resume() { return std::move(handle.promise().value); }
};

#ifdef PROBE_captured_lambda
Task call(std::function<std::string()> f) { co_return f(); }
Task probe() {
  std::string text = "a string that is long enough to live on the heap";
  co_return co_await call([text] { return text; });
}
#else
struct Options {
  std::string a, b;
};
Task call(Options o) { co_return o.a + o.b; }
Task probe() {
  co_return co_await call(
      {.a = "a string that is long enough to live on the heap", .b = "and one more"});
}
#endif

int main() {
  Task task = probe();
  task.handle.resume();
  return task.handle.promise().value.empty() ? 1 : 0;
}
