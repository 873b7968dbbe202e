/// Argon2id hashes a second at the default cost, on every core at once: the bound of signups.
/// Usage: argon2_bound SECONDS
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "crypto/password.h"

int main(int argc, char** argv) {
  using Clock = std::chrono::steady_clock;
  const double seconds = argc > 1 ? std::atof(argv[1]) : 5;
  const auto start = Clock::now();
  const auto end = start + std::chrono::duration_cast<Clock::duration>(
                               std::chrono::duration<double>(seconds));
  std::atomic<long> hashes{0};
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < std::thread::hardware_concurrency(); ++i)
    threads.emplace_back([&] {
      const coditect::Secret password("correct horse battery staple");
      while (Clock::now() < end) {
        coditect::crypto::hash_password(password, {});
        ++hashes;
      }
    });
  for (auto& t : threads) t.join();
  const double took = std::chrono::duration<double>(Clock::now() - start).count();
  std::printf("%.2f\n", static_cast<double>(hashes) / took);
}
