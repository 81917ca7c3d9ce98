import EngineLink
import EngineProtocol
import NativeEngine
import Platform

/// The native engine, or of a model that is only looked at or tokenizes, the model alone.
struct HostedNativeEngine: HostedEngine {
    let model: LoadedModel
    let engine: NativeEngine?

    var description: ModelDescription { model.description }
    var statistics: WorkerStatistics? { engine?.statistics }

    func prepare(
        _ request: EngineRequest, descriptors: [LinkDescriptor], since startedAt: UInt64
    ) throws(EngineError) -> Preparation {
        switch request {
        case .generate(let request):
            var prepared =
                try request.session == nil
                ? model.prepare(request) : running().prepare(request, file: Self.file(descriptors))
            prepared.preparationNanoseconds = MonotonicClock.now() - startedAt
            return .submission { [prepared] call throws(EngineError) in try running().submit(prepared, call: call) }
        case .score(let request):
            var prepared = try model.prepare(request)
            prepared.preparationNanoseconds = MonotonicClock.now() - startedAt
            return .submission { [prepared] call throws(EngineError) in try running().submit(prepared, call: call) }
        case .embed(let request):
            var prepared = try model.prepare(request)
            prepared.preparationNanoseconds = MonotonicClock.now() - startedAt
            return .submission { [prepared] call throws(EngineError) in try running().submit(prepared, call: call) }
        case .inspect:
            return .answer(.result(.inspected(json: model.inspect())))
        case .tokenize(let request):
            return .answer(.result(.tokenized(ids: try model.tokenize(request))))
        case .detokenize(let ids):
            return .answer(.result(.detokenized(bytes: try model.detokenize(ids))))
        case .renderTemplate(let chat):
            return .answer(.result(.rendered(text: try model.renderTemplate(chat))))
        case .openSession(let id): return .answer(.result(.session(try running().openSession(id))))
        case .changeSession(let id, let change):
            return .answer(
                .result(
                    .session(
                        try running().changeSession(id, change, file: Self.file(descriptors)))))
        case .closeSession(let id): return .answer(.result(.session(try running().closeSession(id))))
        case .loadAdapter, .unloadAdapter: throw .unsupported(feature: "adapters (LoRA)")
        case .load, .cancel, .credit, .pause:
            // The host keeps them for itself.
            throw .invalidRequest(parameter: "", message: "there is nothing to prepare")
        }
    }

    /// The prompt cache beside a request.
    private static func file(_ descriptors: [LinkDescriptor]) -> SessionFile? {
        descriptors.first.map { SessionFile(descriptor: $0.rawValue, owner: $0) }
    }

    private func running() throws(EngineError) -> NativeEngine {
        guard let engine else { throw .unsupported(feature: "generation: the model was loaded without its weights") }
        return engine
    }

    func cancel(_ call: CallID) { engine?.cancel(call) }
    func pause(_ call: CallID) { engine?.pause(call) }
    func credit(_ bytes: UInt32, call: CallID) { engine?.credit(bytes, call: call) }
    func stop() { engine?.stop() }
}
