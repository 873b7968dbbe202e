#pragma once
#include <sys/types.h>

#include <map>
#include <optional>
#include <string>

#include "base/secret.h"

namespace coditect::app {

/// The unprivileged user that servers run as when the program is started by root.
struct RunAs {
  uid_t uid = 0;
  gid_t gid = 0;
  std::string name;
  std::string home;
};
/// postgres where it exists, else nobody; nullopt when the program does not run as root.
std::optional<RunAs> unprivileged_user();
/// Gives up root for good. Throws when it cannot.
void become(const RunAs& user);

/// Where `coditect up` keeps everything: servers' data, chosen ports, secrets, logs.
class StateDir {
 public:
  /// Of the program of this name: /var/lib/NAME for root, $XDG_STATE_HOME/NAME or
  /// ~/.local/state/NAME for others.
  static std::string default_path(const std::string& program);

  /// Makes the directory where it is missing, owned by the user. A place that the user cannot reach
  /// (beneath a 0700 directory of root's) becomes a symbolic link to one under /var/lib/coditect;
  /// moved() tells.
  static StateDir prepare(const std::string& path, const std::optional<RunAs>& user);
  /// The directory as it is.
  static StateDir open(const std::string& path);

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  bool moved() const { return moved_; }
  /// For sockets: short enough for sun_path.
  std::string socket_dir() const;

  /// Takes the lock that only one running program can have; false: somebody has it.
  bool lock();
  /// Who has the lock; nullopt when nobody has.
  std::optional<pid_t> owner() const;

  /// Small files of "name value" lines, written whole and at once (0600).
  std::map<std::string, std::string> read_values(const std::string& name) const;
  void write_values(const std::string& name,
                    const std::map<std::string, std::string>& values) const;
  void write_file(const std::string& name, const std::string& text) const;
  std::optional<std::string> read_file(const std::string& name) const;

 private:
  explicit StateDir(std::string path) : path_(std::move(path)) {}
  std::string path_;
  bool moved_ = false;
  int lock_ = -1;
};

}  // namespace coditect::app
