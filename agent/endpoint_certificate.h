// The certificate that our bundle endpoint shows: from files, or an X509-SVID of our own.
#pragma once

#include <functional>
#include <memory>

#include "agent/base/clock.h"
#include "agent/base/workers.h"
#include "agent/config/publication.h"
#include "rotation/https/tls.h"
#include "rotation/identity_store.h"

namespace nodepilot {

// Gets each new certificate, ready to be shown.
using ShowTls = std::function<void(std::shared_ptr<TlsContext>)>;

// Read again every minute, and shown when it has changed. What cannot be used leaves the one shown
// before. Thread: loop; the files are read on workers.
class FileCertificate {
 public:
  FileCertificate(Clock& clock, Workers& workers, CertificateFiles files, ShowTls show);

  // Shows the first one, or says why there is none. Once; blocks on the disk.
  expected<void> start();

 private:
  struct Loaded {
    std::vector<Certificate> chain;
    std::shared_ptr<TlsContext> tls;
  };
  static expected<Loaded> load(const CertificateFiles& files);
  void reload();
  void take(Loaded loaded);

  Clock& clock_;
  Workers& workers_;
  const CertificateFiles files_;
  const ShowTls show_;
  std::vector<Certificate> shown_;
  Alarm alarm_;
  std::shared_ptr<FileCertificate*> self_;  // completions hold it weakly
};

// Wants the SVID of endpoint_entry() as a workload would, and shows it and each that follows it.
// Thread: loop.
class SvidCertificate {
 public:
  // `store` outlives it.
  SvidCertificate(IdentityStore& store, ShowTls show);

 private:
  void take(const WorkloadUpdate& update);

  const ShowTls show_;
  SvidPtr shown_;
  std::unique_ptr<Subscription> subscription_;
};

}  // namespace nodepilot
