// Metrics on their way to the text that Prometheus reads: values, made for one answer.
// Thread: any.
#pragma once

#include <prometheus/metric_family.h>

#include <cstdint>
#include <string>
#include <vector>

#include "agent/base/duration_counts.h"

namespace nodepilot {

using MetricLabels = std::vector<prometheus::ClientMetric::Label>;

class MetricFamilies {
 public:
  // The family that is added to from now on. `help` is a sentence.
  MetricFamilies& gauge(const char* name, const char* help);
  MetricFamilies& counter(const char* name, const char* help);
  MetricFamilies& histogram(const char* name, const char* help);

  // To a family of gauges or counters.
  MetricFamilies& add(double value, MetricLabels labels = {});
  // To a family of counters: what went well and what did not, by `result`.
  MetricFamilies& add_results(std::uint64_t succeeded, std::uint64_t failed,
                              const MetricLabels& labels = {});
  // To a family of histograms.
  MetricFamilies& add(const DurationCounts& took, MetricLabels labels);

  // Prometheus' text format, version 0.0.4, without the families that nothing was added to.
  std::string text() &&;

 private:
  MetricFamilies& begin(const char* name, const char* help, prometheus::MetricType type);

  std::vector<prometheus::MetricFamily> families_;
};

}  // namespace nodepilot
