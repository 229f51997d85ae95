// The calls with which a file gets onto the disk, so that each of them can be made to fail, or to
// be the last thing that its process does. Those that nobody armed are the kernel's own.
#pragma once

#include <string>
#include <vector>

namespace nodepilot {

enum class DiskCall { kWrite, kSyncFile, kRename, kSyncDirectory };

// While it lives, writes to regular files go by it. One at a time. Thread: that of the test.
class DiskCalls {
 public:
  DiskCalls();
  DiskCalls(const DiskCalls&) = delete;
  DiskCalls& operator=(const DiskCalls&) = delete;
  ~DiskCalls();

  void fail(DiskCall call, int error);
  void recover();
  // The process is killed when it comes to this call, before it is made.
  void die_at(DiskCall call);

  // What was called so far, one letter each: w, s, r, d.
  const std::string& seen() const { return seen_; }
  void forget() { seen_.clear(); }

  // The error that the call shall have; 0 if it shall be made.
  int before(DiskCall call);

 private:
  struct Failure {
    DiskCall call;
    int error;  // 0: kill
  };
  std::vector<Failure> failures_;
  std::string seen_;
};

}  // namespace nodepilot
