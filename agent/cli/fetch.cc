#include <regex>

#include "agent/base/files.h"
#include "agent/cli/commands.h"
#include "agent/cli/grpc_client.h"
#include "agent/fetched_svids.h"
#include "proto/spiffe/workload.grpc.pb.h"

namespace nodepilot {
namespace {

// The first message of the stream.
expected<X509SVIDResponse> first_response(const FetchX509Options& options) {
  auto stub = SpiffeWorkloadAPI::NewStub(open_channel(options.endpoint));
  grpc::ClientContext context;
  set_deadline(context, options.timeout);
  context.AddMetadata("workload.spiffe.io", "true");
  auto stream = stub->FetchX509SVID(&context, {});
  X509SVIDResponse response;
  if (stream->Read(&response)) {
    context.TryCancel();
    stream->Finish();  // the stream is over because we end it: its status says nothing
    return response;
  }
  grpc::Status status = stream->Finish();
  if (!status.ok()) return call_error(status, options.endpoint);
  return fail(Code::kDataLoss, options.endpoint.str() + ": the stream ended without an answer");
}

// Removes PREFIX N SUFFIX, PREFIX N+1 SUFFIX, ... up to the first that is not there; how many.
expected<std::size_t> remove_from(const std::filesystem::path& prefix, const char* suffix,
                                  std::size_t number) {
  for (std::size_t removed = 0;; ++removed) {
    std::filesystem::path file = prefix.string() + std::to_string(number + removed) + suffix;
    std::error_code error;
    bool was_there = std::filesystem::remove(file, error);
    if (error) return fail_errno("remove " + file.string(), error.value());
    if (!was_there) return removed;
  }
}

// An earlier fetch may have left more files. What is withdrawn must not stay to be used
// (Workload API section 4.4).
expected<void> remove_withdrawn(const FetchedSvids& fetched,
                                const std::filesystem::path& directory) {
  std::size_t count = fetched.svids.size();
  TRY(remove_from(directory / "svid.", ".key", count));
  TRY(remove_from(directory / "svid.", ".pem", count));
  TRY(remove_from(directory / "bundle.", ".pem", count));
  for (std::size_t i = 0;; ++i) {
    auto prefix = directory / ("federated_bundle." + std::to_string(i) + ".");
    std::size_t first = i < count ? fetched.federated.size() : 0;
    std::size_t removed = TRY(remove_from(prefix, ".pem", first));
    if (i >= count && removed == 0) return {};
  }
}

expected<void> write_files(const FetchedSvids& fetched, const std::filesystem::path& directory) {
  for (const FetchedSvids::File& file : fetched.files()) {
    std::string_view bytes(reinterpret_cast<const char*>(file.bytes.data()), file.bytes.size());
    TRY(write_file_atomic(directory / file.name, bytes, file.mode));
  }
  return remove_withdrawn(fetched, directory);
}

// Of an agent of ours the message ends with "(ref 7f3a91)".
ExitCode refused(const Error& error) {
  static const std::regex ref(R"(\(ref ([0-9a-f]{6})\)$)");
  ExitCode code = report(error);
  std::smatch found;
  if (std::regex_search(error.message, found, ref)) {
    report("on the agent's node, `nodepilot explain " + found.str(1) + "` says why", code);
  }
  return code;
}

std::string written_text(const FetchedSvids& fetched, const std::filesystem::path& directory) {
  std::string text = "\n";
  for (const FetchedSvids::File& file : fetched.files()) {
    text += "Wrote " + (directory / file.name).string() + "\n";
  }
  return text;
}

}  // namespace

ExitCode execute(const FetchX509Options& options) {
  using Format = FetchX509Options::Format;
  auto started = std::chrono::steady_clock::now();
  auto response = first_response(options);
  if (!response) return refused(response.error());
  auto took = std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::steady_clock::now() - started);

  auto now = std::chrono::floor<Duration>(std::chrono::system_clock::now());
  auto fetched = FetchedSvids::check(*response, now);
  if (!fetched)
    return report(options.endpoint.str() + ": " + fetched.error().message, ExitCode::kFailed);
  if (options.write) {
    if (auto written = write_files(*fetched, *options.write); !written) {
      return report(written.error().message, ExitCode::kFailed);
    }
  }
  if (options.format == Format::kJson) return print(fetched->json());
  if (options.format == Format::kPem) return print(fetched->pem());
  return print(fetched->pretty(took) +
               (options.write ? written_text(*fetched, *options.write) : ""));
}

}  // namespace nodepilot
