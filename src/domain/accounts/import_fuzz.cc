// A file of organizations, as CSV and as JSON lines.
#include <sys/mman.h>
#include <unistd.h>

#include "domain/accounts/import_reader.h"
#include "testing/fuzz.h"

using namespace coditect;

FUZZ_TARGET {
  (void)accounts::CsvRecord::parse(input);
  (void)accounts::CsvRecord::is_open(input);
  const int fd = memfd_create("import", MFD_CLOEXEC);
  std::string text = "slug,name,owner_email,owner_password_hash\n";
  for (const char* format : {"csv", "jsonl"}) {
    const std::string all = (format[0] == 'c' ? text : "") + std::string(input);
    CHECK(ftruncate(fd, 0) == 0 &&
          pwrite(fd, all.data(), all.size(), 0) == static_cast<ssize_t>(all.size()));
    try {
      accounts::ImportReader reader("/proc/self/fd/" + std::to_string(fd), format);
      std::int64_t before = -1;
      for (;;) {
        const auto step = reader.next(3);
        CHECK(step.lines.size() + step.rejects.size() <= 3);
        for (const auto& line : step.lines) CHECK(!line.slug.empty() && !line.email.empty());
        if (step.last) break;
        CHECK(step.next_byte > before && step.next_byte <= reader.size());
        before = step.next_byte;
      }
    } catch (const Failure&) {  // refused as a whole
    }
  }
  close(fd);
}
