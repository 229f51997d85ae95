#include "agent/agent.h"

#include <google/protobuf/stubs/logging.h>

#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <memory>
#include <random>

#include "agent/admin.h"
#include "agent/attestors.h"
#include "agent/base/loop.h"
#include "agent/base/workers.h"
#include "agent/bundle_publisher.h"
#include "agent/harden.h"
#include "agent/mesh_services.h"
#include "agent/open_ca.h"
#include "agent/open_state.h"
#include "agent/passed_sockets.h"
#include "agent/systemd_notifier.h"
#include "agent/telemetry.h"
#include "attest/procfs.h"
#include "rotation/federation/federation_keeper.h"
#include "rotation/outputs/output_keeper.h"
#include "sds/health.h"
#include "sds/reflection.h"
#include "sds/refusals.h"
#include "sds/rpc/listener.h"
#include "sds/secret_discovery.h"
#include "sds/workload_api.h"

namespace nodepilot {
namespace {

constexpr Duration kDrainGrace = std::chrono::seconds(3);

Jitter random_jitter() {
  return [engine = std::mt19937_64(std::random_device{}())]() mutable {
    return std::uniform_real_distribution<double>(0, 1)(engine);
  };
}

std::function<std::uint32_t()> random_bits() {
  return [engine = std::mt19937(std::random_device{}())]() mutable {
    return static_cast<std::uint32_t>(engine());
  };
}

// Where HOST_PROC says that the host's is mounted: in a container /proc may be its own.
expected<Procfs> open_procfs() {
  const char* host = ::getenv("HOST_PROC");
  auto procfs = TRY(Procfs::open(host != nullptr && *host != '\0' ? host : "/proc"));
  if (!procfs.is_of_the_host()) {
    log::warn("not in the host's pid namespace: only processes of this one can be served");
  }
  return procfs;
}

// Polls the foreign trust domains on threads of its own: a publisher that hangs must not keep
// anybody from an SVID.
struct Federating {
  Federating(const Config& config, Loop& loop, Clock& clock, IdentityStore& store)
      : workers(loop, 2),
        keeper(clock, workers, fetcher, store, config.federations, config.state_dir,
               random_jitter()) {
    keeper.start();
  }
  Federating(const Federating&) = delete;
  Federating& operator=(const Federating&) = delete;
  ~Federating() { fetcher.stop(); }  // the workers are waited for

  HttpsBundleFetcher fetcher;
  WorkerPool workers;
  FederationKeeper keeper;
};

// Writes files on threads of its own, and runs hooks on others: neither a disk nor a program that
// hangs may keep anybody from an SVID, nor one output's hook another's files.
struct Writing {
  explicit Writing(Loop& loop) : writers(loop, 1), hook_workers(loop, 2) {}
  Writing(const Writing&) = delete;
  Writing& operator=(const Writing&) = delete;
  ~Writing() { hooks.stop(); }  // the workers are waited for

  SystemHooks hooks;
  WorkerPool writers;
  WorkerPool hook_workers;
  std::vector<std::unique_ptr<OutputKeeper>> keepers;
};

// Reads and renders policy on a thread of its own, for the same reason.
struct Meshing {
  Meshing(const Config& config, Loop& loop, Clock& clock)
      : workers(loop, 1),
        keeper(clock, workers, config),
        plaintext(clock.now(), config.mesh->workloads.size()) {
    keeper.start();
  }

  WorkerPool workers;
  MeshKeeper keeper;
  mesh::PlaintextSources plaintext;
};

// Members in the order in which the later ones use the earlier ones: the pools end before what
// their jobs use, the listeners before what their calls use.
class Daemon {
 public:
  Daemon(const Config& config, const AgentOptions& options, Loop& loop, LoopClock& clock,
         OpenedCa ca, ConfiguredAttestors attestors, Procfs procfs)
      : config_(config),
        options_(options),
        procfs_(std::move(procfs)),
        loop_(loop),
        clock_(clock),
        ca_(std::move(ca)),
        attestors_(std::move(attestors)),
        store_(clock_, EntrySet(config.entries)),
        attest_workers_(loop_, 2),
        issue_workers_(loop_, 2),
        file_workers_(loop_, 1),
        rotator_(clock_, issue_workers_, *ca_.authority, store_, config.rotation, random_jitter()),
        callers_(clock_, attest_workers_, attestors_.all()),
        refusals_(clock_, random_bits()),
        secret_files_(clock_, file_workers_),
        notifier_(loop_),
        signals_(loop_.io(), SIGTERM, SIGINT) {
    if (ca_.jwt_signer) jwt_svids_.emplace(clock_, issue_workers_, *ca_.jwt_signer, store_);
  }
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;
  ~Daemon() { ca_.authority->stop(); }  // the workers are waited for

  expected<void> serve(PassedSockets sockets) {
    store_.set_demand(&rotator_);
    state_ = TRY(StateKeeper::open(config_, options_.take_over, loop_, clock_, store_, rotator_,
                                   random_jitter()));
    if (state_) TRY(state_->restore());
    rotator_.start();
    TRY(start_federation());
    TRY(start_outputs());
    if (config_.mesh) mesh_.emplace(config_, loop_, clock_);
    public_ = TRY(open(sockets, "public", config_.listen, public_methods()));
    admin_ = TRY(open(sockets, "admin", config_.admin, admin_methods(admin_context())));
    TRY(start_telemetry());

    signals_.async_wait([this](const boost::system::error_code& error, int signal) {
      if (!error) stop(signal);
    });
    loop_.post([this] { begin(); });
    loop_.run();
    return {};
  }

 private:
  expected<std::unique_ptr<Listener>> open(PassedSockets& sockets, const char* name,
                                           const Config::Socket& socket, Methods methods) {
    auto path = TRY(sockets.path_for(name, socket, options_.take_over));
    Listener::Options options{.path = socket.path,
                              .mode = socket.mode,
                              .limits = config_.limits,
                              .name = name,
                              .procfs = procfs_,
                              .on_standing = [this] { standing_changed(); }};
    return Listener::open(loop_, std::move(options), std::move(methods), std::move(path));
  }

  bool has(Listener::Standing standing) const {
    return public_->standing() == standing && admin_->standing() == standing;
  }

  // Nobody is worse off by a successor: it has what to serve before it takes the sockets.
  void begin() {
    if (has(Listener::Standing::kServing)) return become_ready();
    log::info("another agent serves; following it once there is a trust bundle",
              {{"socket", config_.listen.path.string()}});
    bundle_watch_ = store_.on_change([this] { take_over_if_able(); });
    take_over_if_able();
  }

  void take_over_if_able() {
    if (!store_.bundle()) return;
    public_->take_over();
    admin_->take_over();
  }

  void standing_changed() {
    if (has(Listener::Standing::kServing) && !is_ready_) become_ready();
    bool leads = public_->standing() == Listener::Standing::kServing;
    if (!is_ready_ || leads == leads_) return;
    leads_ = leads;
    notifier_.status(leads ? "serving" : "another agent took over; serving who is connected");
    if (state_) state_->lead(leads);
    if (!leads && writing_) writing_->keepers.clear();
    if (telemetry_ && leads) telemetry_->listen_patiently();
    if (telemetry_ && !leads) telemetry_->close();
    if (leads) {
      if (auto started = start_outputs(); !started) {
        log::error("outputs not written", {{"error", started.error().message}});
      }
    }
  }

  void become_ready() {
    is_ready_ = true;
    bundle_watch_.reset();
    if (state_) state_->lead(true);
    if (SystemdNotifier::is_there()) {
      keep("stored-public", *public_);
      keep("stored-admin", *admin_);
    }
    log::info("ready", {{"trust_domain", config_.trust_domain.name()},
                        {"socket", config_.listen.path.string()},
                        {"admin_socket", config_.admin.path.string()},
                        {"identities", config_.entries.size()}});
    notifier_.ready("serving " + std::to_string(config_.entries.size()) + " identities");
    options_.on_ready();
  }

  void keep(const char* name, Listener& listener) {
    if (listener.is_adopted()) return;
    notifier_.store(name, listener.socket());
    listener.keep_path();
  }

  expected<void> start_federation() {
    if (!config_.federations.empty()) {
      federating_.emplace(config_, loop_, clock_, store_);
    } else if (auto cleared = StoredBundles(config_.state_dir).open({}); !cleared) {
      log::warn("stored bundles not deleted", {{"error", cleared.error().message}});
    }
    if (!config_.publication) return {};
    publisher_ = TRY(BundlePublisher::start(loop_, clock_, file_workers_, store_,
                                            *config_.publication, config_.state_dir));
    return {};
  }

  expected<void> start_outputs() {
    if (config_.outputs.empty()) return {};
    if (!writing_) writing_.emplace(loop_);
    Writing& writing = *writing_;
    OutputKeeper::Context context{clock_, writing.writers, writing.hook_workers, writing.hooks,
                                  store_};
    for (const Output& output : config_.outputs) {
      writing.keepers.push_back(TRY(OutputKeeper::start(context, output)));
    }
    return {};
  }

  // Who follows another agent on its network waits for its port; else an address that is taken is
  // a mistake to be told of.
  expected<void> start_telemetry() {
    if (!config_.telemetry) return {};
    telemetry_.emplace(loop_, clock_, *config_.telemetry, admin_context());
    if (!options_.take_over) return telemetry_->listen();
    telemetry_->listen_patiently();
    return {};
  }

  std::vector<OutputStatus> output_status() const {
    std::vector<OutputStatus> status;
    if (!writing_) return status;
    for (const auto& keeper : writing_->keepers) status.push_back(keeper->status());
    return status;
  }

  Methods public_methods() {
    ApiContext context{.clock = clock_,
                       .store = store_,
                       .callers = callers_,
                       .refusals = refusals_,
                       .workers = attest_workers_,
                       .jwt_svids = jwt_svids_ ? &*jwt_svids_ : nullptr};
    if (ca_.workload_tokens) {
      context.on_caller = [tokens = ca_.workload_tokens](const auto& peer, const auto& entries) {
        return tokens->note(peer, entries);
      };
    }
    context.on_rejection = [this] { ++rejections_; };
    context.workload_request_bytes = config_.limits.workload_request_bytes;
    context.sds_request_bytes = config_.limits.sds_request_bytes;
    Methods mesh;
    ReflectionCatalog::Files mesh_protocol;
    std::vector<std::string> mesh_names;
    if (mesh_) {
      mesh = mesh_methods(context, mesh_->keeper, mesh_->plaintext);
      mesh_protocol = mesh_files();
      mesh_names = mesh_service_names();
    }
    Methods methods;
    for (const Methods& api :
         {workload_api_methods(context),
          secret_discovery_methods(context, config_.sds, secret_files_), mesh,
          health_methods(store_, mesh_names), reflection_methods(mesh_protocol)}) {
      methods.insert(methods.end(), api.begin(), api.end());
    }
    return methods;
  }

  AdminContext admin_context() {
    return {.clock = clock_,
            .store = store_,
            .rotator = rotator_,
            .callers = callers_,
            .refusals = refusals_,
            .procfs = procfs_,
            .trust_domain = config_.trust_domain.name(),
            .ca_name = ca_.authority->name(),
            .started_at = clock_.now(),
            .connections = [this] { return public_->connections(); },
            .incidents = [this] { return public_->incidents(); },
            .rejections = [this] { return rejections_; },
            .sealed = state_ != nullptr,
            .state_failure = [this] { return state_ ? state_->failure() : std::nullopt; },
            .federations =
                [this] {
                  return federating_ ? federating_->keeper.status()
                                     : std::vector<FederationStatus>();
                },
            .outputs = [this] { return output_status(); },
            .standing = [this] { return public_->standing(); },
            .mesh = mesh_ ? &mesh_->keeper : nullptr,
            .plaintext = mesh_ ? &mesh_->plaintext : nullptr};
  }

  void stop(int signal) {
    log::info("stopping", {{"signal", signal}, {"connections", public_->connections()}});
    notifier_.stopping();
    public_->drain(kDrainGrace, [this] { admin_->drain(Duration(0), [this] { loop_.stop(); }); });
  }

  const Config& config_;
  const AgentOptions& options_;
  const Procfs procfs_;
  Loop& loop_;
  LoopClock& clock_;
  const OpenedCa ca_;
  const ConfiguredAttestors attestors_;
  IdentityStore store_;
  // A CA or a file system that hangs must not starve attestation, so each has its own threads.
  WorkerPool attest_workers_;
  WorkerPool issue_workers_;
  WorkerPool file_workers_;
  Rotator rotator_;
  std::unique_ptr<StateKeeper> state_;
  std::optional<JwtSvidCache> jwt_svids_;
  std::optional<Federating> federating_;
  std::optional<Writing> writing_;
  std::unique_ptr<BundlePublisher> publisher_;
  CallerIdentifier callers_;
  Refusals refusals_;
  SecretFiles secret_files_;
  std::uint64_t rejections_ = 0;  // by clients of SDS
  std::optional<Meshing> mesh_;
  SystemdNotifier notifier_;
  boost::asio::signal_set signals_;
  std::unique_ptr<Listener> admin_;
  std::unique_ptr<Listener> public_;
  std::optional<Telemetry> telemetry_;
  std::shared_ptr<void> bundle_watch_;  // while we wait for what to serve
  bool is_ready_ = false;
  bool leads_ = true;  // nobody has followed us
};

}  // namespace

expected<void> run_agent(const Config& config, const AgentOptions& options) {
  log::configure(config.log_level, config.log_format, ::getenv("JOURNAL_STREAM") != nullptr);
  harden_process();
  // It would write what hostile clients send to stderr, unescaped.
  google::protobuf::SetLogHandler(nullptr);
  PassedSockets sockets = TRY(PassedSockets::take());
  Loop loop;
  LoopClock clock(loop);
  Procfs procfs = TRY(open_procfs());
  auto attestors = TRY(ConfiguredAttestors::open(config, [&clock] { return clock.now(); }));
  auto ca = TRY(open_ca(config, [&clock] { return clock.now(); }));
  Daemon daemon(config, options, loop, clock, std::move(ca), std::move(attestors),
                std::move(procfs));
  return daemon.serve(std::move(sockets));
}

}  // namespace nodepilot
