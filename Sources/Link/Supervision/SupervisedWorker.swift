public import EngineProtocol

/// One model's worker as `Serving` sees it, whatever generation of processes is behind it.
///
/// `WorkerSupervisor` is the real one; tests of `Serving` script their own. Everything happens on the loop.
public protocol SupervisedWorker: AnyObject {
    var state: SupervisorState { get }
    /// Counts workers; part of every call's id.
    var generation: UInt16 { get }
    var workerProcessID: Int32? { get }
    /// How long the worker had work and made no progress; 0 while it does or has none.
    var stillNanoseconds: UInt64 { get }

    var onReady: (ModelDescription) -> Void { get set }
    var onEvents: ([(CallID, EngineEvent)]) -> Void { get set }
    /// Everything that the lost worker had sent has been delivered before.
    var onLost: (WorkerEnd) -> Void { get set }
    var onFailed: (String) -> Void { get set }
    /// After `stop`: its last process has ended and its memory is free.
    var onStopped: () -> Void { get set }

    func start()
    func stop()
    /// Sends a request to the worker, if it is ready.
    ///
    /// - Parameter descriptors: files that belong to the request; they stay the caller's.
    func send(_ request: EngineRequest, call: CallID, descriptors: [Int32]) throws(EngineError)
    /// Tells that the worker has answered a request, or that the one that ended it is known and will not come back.
    func noteServedRequest()
}

extension SupervisedWorker {
    public func send(_ request: EngineRequest, call: CallID) throws(EngineError) {
        try send(request, call: call, descriptors: [])
    }
}

extension WorkerSupervisor: SupervisedWorker {}
