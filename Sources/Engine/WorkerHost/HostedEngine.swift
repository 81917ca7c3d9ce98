import EngineLink
import EngineProtocol

/// A loaded model with the engine that runs it: all that the host asks of either kind.
///
/// `prepare` is called on the preparation thread, everything else on any.
protocol HostedEngine: Sendable {
    var description: ModelDescription { get }
    /// Does the part of a request that needs no engine loop.
    ///
    /// - Parameter descriptors: the files that came beside the request: of a prompt cache or an adapter.
    func prepare(
        _ request: EngineRequest, descriptors: [LinkDescriptor], since startedAt: UInt64
    ) throws(EngineError) -> Preparation
    /// Ends a call; unknown ones are ignored.
    func cancel(_ call: CallID)
    /// Pauses a generation of a session; unknown ones are ignored.
    func pause(_ call: CallID)
    func credit(_ bytes: UInt32, call: CallID)
    /// Nil where nothing can run.
    var statistics: WorkerStatistics? { get }
    func stop()
}

/// What becomes of a request once it is prepared.
enum Preparation {
    /// Everything is said: a result or an error.
    case answer(EngineEvent)
    /// The engine goes on with it as the call that it is given, or refuses it.
    case submission((CallID) throws(EngineError) -> Void)
    case loaded(any HostedEngine)
}
