import CRKLLM
import EngineProtocol
import Platform

/// One run: what it needs of the runtime's handle, the call of the runtime, and its end.
extension RunningCall {
    func perform(_ choices: Range<Int>, goesOn: Bool, cache: inout RuntimeCache) throws(EngineError) {
        var runs = Array(work.runs[choices])
        begin(choices, runs)
        let first = runs[0]
        defer {
            if work.crossAttention != nil {
                core.beginLibraryCall(for: call)
                core.model.unsetCrossAttention()
            }
        }
        try arrange(first, goesOn: goesOn, cache: &cache)
        if first.resumes, let token = try pausedToken { runs[0].input = .tokens([token]) }
        // The runtime wants as many inputs as it has places: what comes of copies is dropped.
        while runs.count < core.model.settings.batch { runs.append(runs[runs.count - 1]) }
        let saved = work.cacheFile == nil ? nil : try PromptCache()
        guard core.beginRun(of: call) else { return }
        let begunAt = MonotonicClock.now()
        core.progress.beginStep(
            rows: max(1, first.input.positions), sequences: runs.count, calls: CollectionOfOne(call))
        cache.fill(work)
        let code = core.model.run(
            runs, of: self, adapter: work.adapter, saves: saved, keepsHistory: keepsHistory(first))
        core.endRun(nanoseconds: MonotonicClock.now() - begunAt)
        try conclude(first, code: code, cache: &cache)
        if let saved, let file = work.cacheFile, core.isOpen(call) {
            try saved.write(
                to: file, of: core.model.identity, positions: UInt32(clamping: elements[0].inputTokens),
                limits: core.limits)
        }
    }

    private func begin(_ choices: Range<Int>, _ runs: [PreparedRun]) {
        elements = zip(choices, runs).map { choice, run in
            var element = BatchElement(choice: choice)
            if case .generation(let stopStrings, _, _) = work.answer {
                var options = AnswerOptions(stopStrings: stopStrings, findsToolCalls: false)
                if case .tools = run.template { options.findsToolCalls = true }
                element.text = core.makeText(options)
            }
            // The token with which a paused answer goes on has been said, and so is in the history.
            element.inputTokens = history + (run.resumes ? 0 : run.input.positions)
            return element
        }
        for element in elements where element.choice.isMultiple(of: work.choicesPerInput) {
            promptTokens += element.inputTokens
        }
        (mode, outcome, isPaused, wasStopped) = (runs[0].mode, .unknown, false, false)
    }

    /// Has in the runtime's handle what the run needs, and nothing that would change it.
    private func arrange(_ run: PreparedRun, goesOn: Bool, cache: inout RuntimeCache) throws(EngineError) {
        let model = core.model
        core.beginLibraryCall(for: call)
        if model.mustReload(for: run) {
            guard !goesOn else { throw lost }
            try core.reload(for: run, cache: &cache)
            core.beginLibraryCall(for: call)
        }
        if try model.setTemplate(run.template) {
            guard !goesOn else { throw lost }
            if run.template == .raw { cache.clear() } else { cache.hold(.remains) }
        }
        // Rows that were found in the cache would be missing from the answer.
        let hasRows = run.mode != apus_rkllm_generate
        let isForeign = cache.isForeign(to: work)
        if !goesOn, cache.holder != .nobody || hasRows || isForeign {
            let keepsSystemPrompt = !hasRows && !isForeign
            try model.clearCache(keepsSystemPrompt: keepsSystemPrompt, mustSucceed: !cache.isEmpty)
            cache.clear(leavesSystemPrompt: keepsSystemPrompt && !cache.isEmpty)
        }
        // Its positions were computed by the model alone.
        let isPlain = work.adapter == nil && work.crossAttention == nil
        if !isPlain {
            try model.use(nil)
        } else if let id = work.session?.id, let wanted = try core.session(id).promptCache {
            core.beginLibraryCall(for: call)
            try model.use(wanted)
        }
        if let input = work.crossAttention {
            core.beginLibraryCall(for: call)
            try model.set(input)
        }
    }

    /// Ends the run for the call, and notes what it has left behind for those after it.
    private func conclude(_ run: PreparedRun, code: Int32, cache: inout RuntimeCache) throws(EngineError) {
        let isOpen = core.isOpen(call)
        if isOpen, elements.contains(where: { !$0.isOver }) || isPaused && code != 0 {
            guard code == 0, outcome == .finished else { throw failure(code) }
            try finish(run)
        }
        if isOpen, isPaused { try countPausedPrompt(of: run) }
        let isWhole = isOpen && code == 0 && (outcome == .finished || isPaused) && !wasStopped
        leaveHistory(of: run, isWhole: isWhole, cache: &cache)
    }

    private func failure(_ code: Int32) -> EngineError {
        let how =
            code != 0
            ? "failed" : outcome == .failed ? "reported an error" : "returned without saying that it finished"
        return core.model.library.failure("\(how) (rkllm_run: \(code))\(core.model.library.lastWords())")
    }
}
