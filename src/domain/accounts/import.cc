#include "domain/accounts/import.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <future>
#include <thread>

#include "auth/credential.h"
#include "base/bytes.h"
#include "crypto/digest.h"
#include "domain/accounts/import_reader.h"
#include "domain/accounts/model.h"
#include "schema/direct.h"

namespace coditect::accounts {
namespace {

using schema::Direct;

constexpr std::string_view kIdPurpose = "import_id", kSecretPurpose = "import_secret";

/// A file that grows in steps and can be cut back to where the journal says.
class Appended {
 public:
  Appended(std::string name, std::int64_t size) : name_(std::move(name)), size_(size) {
    if (name_.empty()) return;
    fd_ = ::open(name_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd_ < 0 || ftruncate(fd_, size) != 0 || lseek(fd_, size, SEEK_SET) < 0) cannot();
  }
  ~Appended() {
    if (fd_ >= 0) ::close(fd_);
  }
  Appended(const Appended&) = delete;
  Appended& operator=(const Appended&) = delete;

  bool is_open() const { return fd_ >= 0; }
  std::int64_t size() const { return size_; }
  /// On the disk when it returns.
  void append(const std::string& text) {
    if (fd_ < 0 || text.empty()) return;
    for (std::size_t at = 0; at < text.size();) {
      const auto n = ::write(fd_, text.data() + at, text.size() - at);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) cannot();
      at += static_cast<std::size_t>(n);
    }
    if (fdatasync(fd_) != 0) cannot();
    size_ += static_cast<std::int64_t>(text.size());
  }

 private:
  [[noreturn]] void cannot() const {
    fail(Code::unavailable, "import_file_unwritable", name_ + ": " + std::strerror(errno));
  }
  std::string name_;
  int fd_ = -1;
  std::int64_t size_;
};

std::string rejects_text(const std::vector<ImportReject>& rejects) {
  std::string out;
  for (const auto& r : rejects) {
    boost::json::array errors;
    for (const auto& e : r.errors)
      errors.push_back({{"pointer", e.pointer}, {"code", e.code}, {"message", e.message}});
    out += boost::json::serialize(
               boost::json::object{{"line", r.line}, {"slug", r.slug}, {"errors", errors}}) +
           "\n";
  }
  return out;
}

/// The rows of a line. The same line of the same import always gives the same ids and key, so a
/// step that is repeated finds its own rows.
struct Prepared {
  ImportLine line;
  TenantPublicId tenant;
  auth::UserId user;
  auth::MemberId member;
  Uuid activity;
  auth::ApiKeyId key;
  std::string key_text, secret_key, secret_hash;  ///< empty without keys
  std::int64_t tenant_id = 0;                     ///< once the directory has given it
};

class Import {
 public:
  Import(const ImportSource& source, const ImportDatabases& databases, const crypto::Keyring& keys)
      : source_(source),
        keys_(keys),
        reader_(source.file, source.format),
        directory_(databases.directory),
        cell_(databases.cell) {
    open_journal();
    if (progress_.already) return;
    api_keys_.emplace(source.api_keys_file, keys_bytes_);
    rejects_.emplace(source.rejects_file, rejects_bytes_);
    prepare_sessions();
  }

  ImportProgress run(const std::function<void(const ImportProgress&)>& report,
                     const std::function<bool()>& stopped) {
    if (progress_.already) return progress_;
    reader_.seek(progress_.next_byte, progress_.next_line);
    // Two steps overlap: the cell works on one while the directory takes the next.
    std::optional<Step> current = first_half();
    while (current) {
      auto in_cell = std::async(std::launch::async, [&] { to_cell(*current); });
      std::optional<Step> next;
      if (!current->read.last && !stopped()) next = first_half();
      in_cell.get();
      finish(*current);
      report(progress_);
      current = std::move(next);
    }
    return progress_;
  }

 private:
  struct Step {
    ImportReader::Step read;
    std::vector<Prepared> rows;
  };

  /// One import of a file at a time. The session of one that was killed may take a moment to end.
  void lock(const std::string& fingerprint) {
    for (int tries = 0; tries < 20; ++tries) {
      const auto locked = directory_.query(
          "SELECT pg_try_advisory_lock(hashtextextended('coditect import ' || $1, 0))",
          {fingerprint});
      if (locked[0][0] == "t") return;
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    fail(Code::conflict, "import_running", "another process is importing this file");
  }

  void open_journal() {
    const auto fingerprint = reader_.fingerprint();
    lock(to_hex(fingerprint));
    const auto key_id = keys_.mac(kIdPurpose, "").key_id;
    const auto rows = directory_.query(
        "SELECT id, sealing_key, next_byte, next_line, imported, rejected, keys_bytes, "
        "rejects_bytes, extract(epoch FROM created_at)::bigint, finished_at FROM imports WHERE "
        "fingerprint = decode($1, 'hex') ORDER BY finished_at DESC NULLS FIRST LIMIT 1",
        {to_hex(fingerprint)});
    progress_.total_bytes = reader_.size();
    if (rows.empty()) {
      check_keys_file();
      started_ = std::chrono::floor<std::chrono::seconds>(now());
      id_ = make_uuid7(started_);
      directory_.query(
          "INSERT INTO imports (id, source, fingerprint, sealing_key, created_at) VALUES ($1, $2, "
          "decode($3, 'hex'), $4, $5)",
          {to_string(id_), source_.file, to_hex(fingerprint), key_id, to_rfc3339(started_)});
    } else {
      const auto number = [&row = rows[0]](std::size_t i) { return std::stoll(*row[i]); };
      progress_.already = progress_.finished = rows[0][9].has_value();
      if (!progress_.already && rows[0][1] != key_id)
        fail(Code::failed_precondition, "import_sealing_key_changed",
             "this import was begun with the sealing key '" + *rows[0][1] +
                 "': put it first in sealing.keys to go on");
      id_ = *parse_uuid(*rows[0][0]);
      progress_.next_byte = number(2);
      progress_.next_line = number(3);
      progress_.imported = number(4);
      progress_.rejected = number(5);
      keys_bytes_ = number(6);
      rejects_bytes_ = number(7);
      started_ = Timestamp(std::chrono::seconds(number(8)));
      progress_.resumed = !progress_.already;
      if (progress_.resumed) check_keys_file();
    }
    progress_.id = to_string(id_);
    progress_.first_byte = progress_.next_byte;
    progress_.first_line = progress_.next_line;
  }

  /// Keys are shown once: what a file holds of another import must not be cut off, and what this
  /// one has written must still be there.
  void check_keys_file() const {
    if (source_.api_keys_file.empty()) return;
    std::error_code error;
    const auto size = std::filesystem::file_size(source_.api_keys_file, error);
    const auto found = error ? 0 : static_cast<std::int64_t>(size);
    if (found < keys_bytes_)
      fail(Code::failed_precondition, "import_keys_file_cut",
           source_.api_keys_file + " has " + std::to_string(found) +
               " bytes, but this import wrote " + std::to_string(keys_bytes_) +
               ": go on with the file it was begun with");
    if (found > 0 && !progress_.resumed)
      fail(Code::failed_precondition, "import_keys_file_exists",
           source_.api_keys_file + " is not empty and this import is new: name another file");
  }

  void prepare_sessions() {
    directory_.execute(
        "CREATE TEMPORARY TABLE staged (line bigint, slug text, name text, email text, "
        "password_hash text, public_id uuid, user_id uuid) ON COMMIT DELETE ROWS");
    cell_.execute(
        "CREATE TEMPORARY TABLE staged (tenant_id bigint, member_id uuid, user_id uuid, email "
        "text, activity_id uuid, public_id uuid, after jsonb, key_id uuid, secret_key text, "
        "secret_hash bytea) ON COMMIT DELETE ROWS");
  }

  /// An id that only this line of this import has. Its time follows the lines, a hundred to the
  /// millisecond, so that neighbours in the file are neighbours in the index.
  Uuid id_of(std::int64_t line, char kind) const {
    auto id = make_uuid7(started_ + std::chrono::microseconds(line * 10));
    const auto bytes =
        keys_.mac(kIdPurpose, progress_.id + " " + std::to_string(line) + kind).bytes;
    for (std::size_t i = 8; i < 16; ++i) id.bytes[i] = static_cast<std::uint8_t>(bytes[i]);
    id.bytes[8] = static_cast<std::uint8_t>((id.bytes[8] & 0x3f) | 0x80);
    return id;
  }

  /// 43 digits of base62 from a MAC's stream: as strong as random ones to all who lack the key.
  Secret secret_of(std::int64_t line) const {
    std::string out;
    for (int block = 0; out.size() < 43; ++block) {
      const auto stream = keys_
                              .mac(kSecretPurpose, progress_.id + " " + std::to_string(line) + " " +
                                                       std::to_string(block))
                              .bytes;
      for (const char c : stream) {
        const auto b = static_cast<unsigned char>(c);
        if (b < 248 && out.size() < 43) out += kBase62[b % 62];
      }
    }
    return Secret(std::move(out));
  }

  Prepared prepare(ImportLine line) const {
    Prepared p;
    p.tenant = TenantPublicId(id_of(line.number, 't'));
    p.user = auth::UserId(id_of(line.number, 'u'));
    p.member = auth::MemberId(id_of(line.number, 'm'));
    p.activity = id_of(line.number, 'a');
    if (api_keys_->is_open()) {
      p.key = auth::ApiKeyId(id_of(line.number, 'k'));
      const auth::ApiKeyToken token{p.tenant, p.key, secret_of(line.number)};
      const auto mac = auth::secret_mac(keys_, token.secret);
      p.key_text = token.text().reveal();
      p.secret_key = mac.key_id;
      p.secret_hash = "\\x" + to_hex(mac.bytes);
    }
    p.line = std::move(line);
    return p;
  }

  /// Reads a step and puts it into the directory as provisioning.
  std::optional<Step> first_half() {
    Step step{reader_.next(source_.lines_per_step), {}};
    for (auto& line : step.read.lines) step.rows.push_back(prepare(std::move(line)));
    step.read.lines.clear();
    std::string rows;
    for (const auto& p : step.rows)
      schema::append_copy_row(
          rows, {std::to_string(p.line.number), p.line.slug, p.line.name, p.line.email,
                 p.line.password_hash, to_string(p.tenant.uuid()), to_string(p.user.uuid())});
    directory_.execute("BEGIN");
    directory_.copy_in("COPY staged FROM STDIN", rows);
    const auto at = "'" + to_rfc3339(started_) + "'";
    directory_.execute(
        "INSERT INTO users (id, email, password_hash, created_at) SELECT DISTINCT ON (email) "
        "user_id, email, password_hash, " +
        at + " FROM staged ORDER BY email, line ON CONFLICT DO NOTHING");
    directory_.execute(
        "INSERT INTO tenants (public_id, slug, name, cell, state, created_at, updated_at) SELECT "
        "DISTINCT ON (slug) public_id, slug, name, 'cell-1', 'provisioning', " +
        at + ", now() FROM staged ORDER BY slug, line ON CONFLICT DO NOTHING");
    directory_.execute("ANALYZE staged");
    const auto found = directory_.query(
        "WITH ours AS (SELECT s.line, t.id AS tenant_id, u.id AS user_id FROM staged s JOIN "
        "tenants t ON t.slug = s.slug AND t.public_id = s.public_id JOIN users u ON u.email = "
        "s.email), joined AS (INSERT INTO user_tenants (user_id, tenant_id, created_at) SELECT "
        "user_id, tenant_id, " +
        at +
        " FROM ours ON CONFLICT DO NOTHING) SELECT line, tenant_id, user_id FROM ours ORDER "
        "BY line");
    directory_.execute("COMMIT");
    keep_accepted(step, found);
    return step;
  }

  static void keep_accepted(Step& step, const std::vector<Direct::Row>& found) {
    std::vector<Prepared> accepted;
    std::size_t at = 0;
    for (auto& p : step.rows) {
      if (at < found.size() && std::stoll(*found[at][0]) == p.line.number) {
        p.tenant_id = std::stoll(*found[at][1]);
        p.user = auth::UserId(*parse_uuid(*found[at][2]));
        accepted.push_back(std::move(p));
        ++at;
      } else {
        step.read.rejects.push_back(
            {p.line.number, p.line.slug, {{"/slug", "taken", "is in use or was"}}});
      }
    }
    step.rows = std::move(accepted);
    std::ranges::sort(step.read.rejects, {}, &ImportReject::line);
  }

  void to_cell(const Step& step) {
    std::string rows;
    for (const auto& p : step.rows) {
      const auto after = http::to_json(
          TenantView{p.tenant, p.line.slug, p.line.name, tenancy::TenantState::active});
      const bool key = !p.key_text.empty();
      schema::append_copy_row(
          rows, {std::to_string(p.tenant_id), to_string(p.member.uuid()), to_string(p.user.uuid()),
                 p.line.email, to_string(p.activity), to_string(p.tenant.uuid()), after,
                 key ? std::optional(to_string(p.key.uuid())) : std::nullopt,
                 key ? std::optional(p.secret_key) : std::nullopt,
                 key ? std::optional(p.secret_hash) : std::nullopt});
    }
    const auto at = "'" + to_rfc3339(started_) + "'";
    cell_.execute("BEGIN");
    cell_.copy_in("COPY staged FROM STDIN", rows);
    cell_.execute(
        "INSERT INTO tenant_state (tenant_id, state, epoch) SELECT tenant_id, 'active', 1 FROM "
        "staged ON CONFLICT DO NOTHING");
    cell_.execute(
        "INSERT INTO members (tenant_id, id, user_id, email, role, state, created_at, updated_at) "
        "SELECT tenant_id, member_id, user_id, email, 'owner', 'active', " +
        at + ", " + at + " FROM staged ON CONFLICT DO NOTHING");
    if (api_keys_->is_open())
      cell_.execute(
          "INSERT INTO api_keys (tenant_id, id, name, secret_key, secret_hash, scopes, "
          "created_by, created_at) SELECT tenant_id, key_id, 'first key', secret_key, "
          "secret_hash, " +
          scopes() + ", member_id, " + at + " FROM staged ON CONFLICT DO NOTHING");
    cell_.execute(
        "INSERT INTO activity (tenant_id, id, actor_type, actor_id, verb, target_type, "
        "target_id, after, request_id, created_at) SELECT tenant_id, activity_id, 'system', NULL, "
        "'tenant.created', 'tenant', public_id, after, 'import " +
        progress_.id + "', " + at + " FROM staged ON CONFLICT DO NOTHING");
    cell_.execute("COMMIT");
  }

  static std::string scopes() {
    std::string out;
    boost::mp11::mp_for_each<boost::describe::describe_enumerators<auth::Permission>>(
        [&out](auto d) { out += (out.empty() ? "ARRAY['" : ", '") + std::string(d.name) + "'"; });
    return out + "]";
  }

  /// The files first, then the journal: what it does not know of is cut off and written again.
  void finish(const Step& step) {
    std::string keys, ids = "{";
    for (const auto& p : step.rows) {
      if (!p.key_text.empty()) keys += p.line.slug + "," + p.key_text + "\n";
      ids += (ids.size() > 1 ? "," : "") + std::to_string(p.tenant_id);
    }
    api_keys_->append(keys);
    rejects_->append(rejects_text(step.read.rejects));
    progress_.next_byte = step.read.next_byte;
    progress_.next_line = step.read.next_line;
    progress_.imported += std::ssize(step.rows);
    progress_.rejected += std::ssize(step.read.rejects);
    progress_.finished = step.read.last;
    directory_.execute("BEGIN");
    directory_.query(
        "UPDATE tenants SET state = 'active', cell_epoch = 1, updated_at = now() WHERE id = ANY "
        "($1::bigint[]) AND state = 'provisioning'",
        {ids + "}"});
    directory_.query(
        "UPDATE imports SET next_byte = $2, next_line = $3, imported = $4, rejected = $5, "
        "keys_bytes = $6, rejects_bytes = $7, finished_at = CASE WHEN $8::boolean THEN now() END "
        "WHERE id = $1",
        {progress_.id, std::to_string(progress_.next_byte), std::to_string(progress_.next_line),
         std::to_string(progress_.imported), std::to_string(progress_.rejected),
         std::to_string(api_keys_->size()), std::to_string(rejects_->size()),
         progress_.finished ? "t" : "f"});
    directory_.execute("COMMIT");
  }

  const ImportSource& source_;
  const crypto::Keyring& keys_;
  ImportReader reader_;
  Direct directory_, cell_;
  ImportProgress progress_;
  Uuid id_;
  Timestamp started_;
  std::int64_t keys_bytes_ = 0, rejects_bytes_ = 0;
  std::optional<Appended> api_keys_, rejects_;
};

}  // namespace

ImportProgress import_tenants(const ImportSource& source, const ImportDatabases& databases,
                              const crypto::Keyring& keys,
                              const std::function<void(const ImportProgress&)>& report,
                              const std::function<bool()>& stopped) {
  return Import(source, databases, keys).run(report, stopped);
}

ImportProgress check_import(const ImportSource& source,
                            const std::function<void(const ImportProgress&)>& report,
                            const std::function<bool()>& stopped) {
  ImportReader reader(source.file, source.format);
  Appended rejects(source.rejects_file, 0);
  ImportProgress progress;
  progress.total_bytes = reader.size();
  while (!progress.finished && !stopped()) {
    const auto step = reader.next(source.lines_per_step);
    rejects.append(rejects_text(step.rejects));
    progress.next_byte = step.next_byte;
    progress.next_line = step.next_line;
    progress.imported += std::ssize(step.lines);
    progress.rejected += std::ssize(step.rejects);
    progress.finished = step.last;
    report(progress);
  }
  return progress;
}

}  // namespace coditect::accounts
