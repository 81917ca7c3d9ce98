import EngineProtocol
import Observability
import Platform
import Serving

/// Writes the workers' last snapshots and the table of live calls as Prometheus text.
///
/// It never asks a worker: a scrape gets the last word and its age.
enum WorkerMetrics {

    /// A page of its own, to be joined to the door's.
    static func render(_ models: [ModelStatus], memory: MemoryUse) -> [UInt8] {
        let registry = MetricsRegistry()
        gauge(
            registry, "apus_memory_budget_bytes", "Memory that all models may take together.", [], memory.budgetBytes)
        gauge(registry, "apus_memory_taken_bytes", "Of it, what workers have or are granted.", [], memory.takenBytes)
        for model in models {
            let labels = [MetricLabel("model", model.name)]
            gauge(
                registry, "apus_calls_in_flight", "Calls at the worker or waiting for it.", labels, model.callsInFlight)
            registry.counter("apus_calls_lost_total", "Calls that ended because their worker died.", labels)
                .add(model.callsLost)
            registry.counter("apus_calls_replayed_total", "Calls sent again after their worker died.", labels)
                .add(model.callsReplayed)
            registry.counter(
                "apus_calls_resumed_total", "Calls sent again after a part of their answer was delivered.", labels
            ).add(model.callsResumed)
            registry.counter(
                "apus_calls_quarantined_total", "Calls that ended or were refused as ending workers.", labels
            ).add(model.callsQuarantined)
            gauge(
                registry, "apus_requests_quarantined", "Requests that are refused for having ended a worker.", labels,
                model.requestsQuarantined)
            for end in model.workerEnds {
                registry.counter(
                    "apus_worker_ends_total", "Ends of workers, by kind.", labels + [MetricLabel("kind", end.kind)]
                ).add(UInt64(end.count))
            }
            for state in ModelStatus.State.allCases {
                gauge(
                    registry, "apus_model_state", "1 for the state that the model is in.",
                    labels + [MetricLabel("state", state.label)], model.state == state ? 1 : 0)
            }
            registry.counter("apus_worker_restarts_total", "Workers started after another had died.", labels)
                .add(UInt64(model.restarts))
            gauge(registry, "apus_model_ready", "1 while the model answers.", labels, model.state == .ready ? 1 : 0)
            registry.gauge(
                "apus_worker_progress_age_seconds", "Time without progress of a worker that has work.", labels
            ).set(Double(model.stillNanoseconds) / 1e9)
            if let processID = model.workerProcessID, let memory = ProcessMemory.of(processID: processID) {
                gauge(
                    registry, "apus_worker_resident_bytes", "Resident memory of the worker.", labels,
                    memory.residentBytes)
                gauge(
                    registry, "apus_worker_anonymous_bytes", "Memory of the worker that no file backs.", labels,
                    memory.anonymousBytes)
            }
            loads(of: model, labels, registry)
            statistics(of: model, labels, registry)
        }
        return registry.render()
    }

    private static func loads(of model: ModelStatus, _ labels: [MetricLabel], _ registry: MetricsRegistry) {
        gauge(
            registry, "apus_model_memory_bytes", "What the model's workers have of the memory budget.", labels,
            model.memoryBytes)
        registry.counter("apus_model_loads_total", "Times that the model was loaded, crashes not counted.", labels)
            .add(model.loads)
        for unload in model.unloads {
            registry.counter(
                "apus_model_unloads_total", "Workers of the model that were told to end, by reason.",
                labels + [MetricLabel("reason", unload.reason)]
            ).add(unload.count)
        }
    }

    private static func statistics(of model: ModelStatus, _ labels: [MetricLabel], _ registry: MetricsRegistry) {
        guard let last = model.statistics else { return }
        let age = Double(MonotonicClock.now() &- last.takenAt) / 1e9
        registry.gauge("apus_statistics_age_seconds", "Age of the worker's last snapshot.", labels).set(age)
        gauge(registry, "apus_sequences_running", "Sequences in the batch.", labels, last.sequencesRunning)
        gauge(registry, "apus_sequences_waiting", "Sequences in the worker's queue.", labels, last.sequencesWaiting)
        gauge(
            registry, "apus_cache_blocks_used", "Blocks of the KV cache that sequences use.", labels,
            last.cacheBlocksUsed)
        gauge(
            registry, "apus_cache_blocks_idle", "Blocks of the KV cache that are kept for later prompts.", labels,
            last.cacheBlocksIdle)
        gauge(registry, "apus_cache_blocks", "Blocks of the KV cache.", labels, last.cacheBlocks)
        registry.counter("apus_prompt_tokens_total", "Tokens prefilled since the worker started.", labels)
            .add(last.promptTokens)
        registry.counter("apus_cached_tokens_total", "Tokens found in the cache since the worker started.", labels)
            .add(last.cachedTokens)
        registry.counter("apus_generated_tokens_total", "Tokens sampled since the worker started.", labels)
            .add(last.generatedTokens)
        registry.counter("apus_steps_total", "Steps of the engine since the worker started.", labels).add(last.steps)
        registry.timeCounter("apus_step_seconds_total", "Time in steps since the worker started.", labels)
            .add(last.stepNanoseconds)
        registry.counter("apus_sequences_cancelled_total", "Calls cancelled since the worker started.", labels)
            .add(last.cancelled)
        registry.counter("apus_preemptions_total", "Slots taken from sequences since the worker started.", labels)
            .add(last.preemptions)
        registry.counter("apus_draft_tokens_total", "Draft tokens computed since the worker started.", labels)
            .add(last.draftTokens)
        registry.counter(
            "apus_accepted_draft_tokens_total", "Draft tokens that were right since the worker started.", labels
        ).add(last.acceptedDraftTokens)
        registry.counter(
            "apus_model_draft_tokens_total", "Draft tokens from the draft model since the worker started.", labels
        ).add(last.modelDraftTokens)
        registry.counter(
            "apus_accepted_model_draft_tokens_total", "Those of them that were right since the worker started.", labels
        ).add(last.acceptedModelDraftTokens)
    }

    private static func gauge(
        _ registry: MetricsRegistry, _ name: String, _ help: String, _ labels: [MetricLabel],
        _ value: some BinaryInteger
    ) {
        registry.gauge(name, help, labels).set(Double(value))
    }
}
