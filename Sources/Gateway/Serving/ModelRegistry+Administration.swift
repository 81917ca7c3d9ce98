import EngineProtocol
import Observability
import Platform
import Supervision

/// What administrators and new configurations ask for: loads, unloads and replacements.
extension ModelRegistry {
    /// Loads a model and answers when it is ready, or cannot be loaded.
    func load(_ slot: ModelSlot, _ answer: @escaping ModelSlot.Answer) {
        if let channel = slot.channel, slot.worker != nil, channel.status.state == .ready {
            return answer(.success(status(slot)))
        }
        slot.lastUse = MonotonicClock.now()
        slot.awaitsLoad.append(answer)
        do throws(EngineError) {
            if slot.worker == nil {
                slot.isLoadedOnDemand = true
                try want(slot, insists: true)
            }
        } catch {
            return slot.answer(\.awaitsLoad, .failure(error))
        }
        endWaitForMemory(of: slot, worker: slot.worker)
    }

    /// Loads a model that no configuration names.
    func load(_ model: ServedModel, _ answer: @escaping ModelSlot.Answer) {
        guard let slot = slot(model.name) else { return loadTemporary(model, answer) }
        guard slot.model.settings.sources == model.settings.sources else {
            return answer(
                .failure(
                    .invalidRequest(
                        parameter: "model", message: "the name '\(model.name)' is that of another model")))
        }
        load(slot, answer)
    }

    private func loadTemporary(_ model: ServedModel, _ answer: @escaping ModelSlot.Answer) {
        guard slots.count < limits.models else {
            let message = "\(limits.models) models are served, which is the limit"
            return answer(.failure(.invalidRequest(parameter: "model", message: message)))
        }
        let slot = add(model, isTemporary: true)
        load(slot) { [weak self, weak slot] result in
            if case .failure = result, let self, let slot, slot.isTemporary { remove(slot) }
            answer(result)
        }
    }

    /// Unloads a model; calls that it has are finished first, and new ones load it again.
    func unload(_ slot: ModelSlot, _ answer: @escaping ModelSlot.Answer) {
        slot.awaitsUnload.append(answer)
        if slot.isTemporary { return remove(slot) }
        change { $0.unload(slot.name) }
        if let channel = slot.channel, slot.worker == nil { discard(channel, of: slot) }
        answerUnloads(of: slot)
    }

    /// Puts a new worker in the place of a loaded model's; the old one goes on until the new one has made a token.
    ///
    /// - Parameter allowDowntime: where both do not fit, the old one ends before the new one is loaded.
    func replace(_ slot: ModelSlot, allowDowntime: Bool, _ answer: @escaping ModelSlot.Answer) {
        guard table.isLoaded(slot.name) else { return load(slot, answer) }
        slot.awaitsReplacement.append(answer)
        guard slot.candidate == nil else { return }
        refreshNeed(of: slot)
        do throws(MemoryShortage) {
            try change { table throws(MemoryShortage) in try table.replace(slot.name) }
            endWaitForMemory(of: slot, worker: slot.candidate?.id)
        } catch {
            if allowDowntime, !error.isPermanent {
                let answers = slot.awaitsReplacement
                slot.awaitsReplacement = []
                change { $0.unload(slot.name) }
                for answer in answers { load(slot, answer) }
            } else {
                slot.answer(
                    \.awaitsReplacement,
                    .failure(.resourceExhausted(message: error.text, permanent: error.isPermanent)))
            }
        }
    }

    /// Nobody waits for room for ever.
    private func endWaitForMemory(of slot: ModelSlot, worker: ModelTable.WorkerID?) {
        guard let worker, table.shortage(of: worker) != nil else { return }
        _ = loop.after(nanoseconds: limits.holdNanoseconds) { [weak self, weak slot] in
            guard let self, let slot, let shortage = table.shortage(of: worker) else { return }
            let error = EngineError.resourceExhausted(message: shortage.text, permanent: false)
            if slot.candidate?.id == worker {
                conclude(slot, worker, .failure(error))
            } else {
                slot.answer(\.awaitsLoad, .failure(error))
                review()
            }
        }
    }
}

// MARK: - Replacement

extension ModelRegistry {
    func makeCandidate(_ id: ModelTable.WorkerID, _ slot: ModelSlot, _ limit: UInt64) {
        let candidate = ModelCandidate(
            loop: loop, model: slot.model, memoryLimit: limit, checkNanoseconds: limits.checkNanoseconds)
        loads[id] = .candidate(candidate, slot)
        slot.candidate = (id, candidate)
        candidate.onVerdict = { [weak self, weak slot] verdict in
            guard let self, let slot else { return }
            conclude(slot, id, verdict)
        }
        candidate.onStopped = { [weak self, weak slot, weak candidate] in
            guard let self, let slot, let candidate else { return }
            loads[id] = nil
            change { $0.ended(id) }
            forgetIfEmpty(slot)
            loop.atEndOfTurn { withExtendedLifetime(candidate) {} }
        }
    }

    private func conclude(
        _ slot: ModelSlot, _ id: ModelTable.WorkerID, _ verdict: Result<ModelDescription, EngineError>
    ) {
        switch verdict {
        case .success(let description):
            change { $0.loaded(id, bytes: description.memoryBytes) }
            logger.info("model.replaced", .string("model", slot.name))
            slot.answer(\.awaitsReplacement, .success(status(slot)))
            followSettings(slot)
        case .failure(let error):
            logger.warning("model.not_replaced", .string("model", slot.name), .string("reason", error.text))
            slot.answer(\.awaitsReplacement, .failure(error))
            change { $0.giveUp(id) }
        }
    }

    func takeOver(_ id: ModelTable.WorkerID) {
        guard case .candidate(let candidate, let slot)? = loads[id] else { return }
        let channel = ModelChannel(
            name: slot.name, loop: loop, supervisor: candidate.supervisor, description: candidate.description,
            limits: limits, logger: logger)
        slot.candidate = nil
        slot.workerSettings = candidate.settings
        attach(channel, id, slot)
        // It is one of its own handlers that has told this.
        loop.atEndOfTurn { withExtendedLifetime(candidate) {} }
    }
}
