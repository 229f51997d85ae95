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

expected<void> write_files(const FetchedSvids& fetched, const std::filesystem::path& directory) {
  for (const FetchedSvids::File& file : fetched.files()) {
    std::string_view bytes(reinterpret_cast<const char*>(file.bytes.data()), file.bytes.size());
    TRY(write_file_atomic(directory / file.name, bytes, file.mode));
  }
  return {};
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
  if (!response) return report(response.error());
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
