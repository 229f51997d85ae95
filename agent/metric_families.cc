#include "agent/metric_families.h"

#include <prometheus/text_serializer.h>

#include <limits>
#include <utility>

namespace nodepilot {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

double seconds(std::chrono::microseconds time) {
  return std::chrono::duration<double>(time).count();
}

}  // namespace

MetricFamilies& MetricFamilies::begin(const char* name, const char* help, MetricType type) {
  families_.push_back({name, help, type, {}});
  return *this;
}

MetricFamilies& MetricFamilies::gauge(const char* name, const char* help) {
  return begin(name, help, MetricType::Gauge);
}

MetricFamilies& MetricFamilies::counter(const char* name, const char* help) {
  return begin(name, help, MetricType::Counter);
}

MetricFamilies& MetricFamilies::histogram(const char* name, const char* help) {
  return begin(name, help, MetricType::Histogram);
}

MetricFamilies& MetricFamilies::add(double value, MetricLabels labels) {
  ClientMetric metric;
  metric.label = std::move(labels);
  bool is_counter = families_.back().type == MetricType::Counter;
  (is_counter ? metric.counter.value : metric.gauge.value) = value;
  families_.back().metric.push_back(std::move(metric));
  return *this;
}

MetricFamilies& MetricFamilies::add_results(std::uint64_t succeeded, std::uint64_t failed,
                                            const MetricLabels& labels) {
  for (auto [result, count] : {std::pair("success", succeeded), std::pair("failure", failed)}) {
    MetricLabels all = labels;
    all.push_back({"result", result});
    add(static_cast<double>(count), std::move(all));
  }
  return *this;
}

MetricFamilies& MetricFamilies::add(const DurationCounts& took, MetricLabels labels) {
  ClientMetric metric;
  metric.label = std::move(labels);
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < took.counts.size(); ++i) {
    sum += took.counts[i];
    bool is_bound = i < DurationCounts::kBounds.size();
    metric.histogram.bucket.push_back({sum, is_bound ? seconds(DurationCounts::kBounds[i])
                                                     : std::numeric_limits<double>::infinity()});
  }
  metric.histogram.sample_count = sum;
  metric.histogram.sample_sum = seconds(took.sum);
  families_.back().metric.push_back(std::move(metric));
  return *this;
}

std::string MetricFamilies::text() && {
  std::erase_if(families_, [](const MetricFamily& family) { return family.metric.empty(); });
  return prometheus::TextSerializer().Serialize(families_);
}

}  // namespace nodepilot
