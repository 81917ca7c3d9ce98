public import EngineProtocol
public import Observability
public import Platform
public import Serving

/// What all connections of the door share: the models, who may ask, bounds and figures.
///
/// Everything happens on the loop.
public final class RPCService {
    public struct Settings: Sendable {
        /// The tenant that a key stands for; nil when no key is needed.
        public var tenantOfKey: (@Sendable (String) -> String?)?
        /// Who an administrator's key stands for; nil when nobody may administer.
        public var administratorOfKey: (@Sendable (String) -> String?)?
        public var limits: RPCLimits
        /// The folder of prompt caches; nil: there are none.
        public var cacheRoot: String?

        public init(
            tenantOfKey: (@Sendable (String) -> String?)? = nil,
            administratorOfKey: (@Sendable (String) -> String?)? = nil, limits: RPCLimits = RPCLimits(),
            cacheRoot: String? = nil
        ) {
            self.cacheRoot = cacheRoot
            self.tenantOfKey = tenantOfKey
            self.administratorOfKey = administratorOfKey
            self.limits = limits
        }
    }

    private(set) var settings: Settings
    /// How often they were changed.
    private(set) var settingsCount = 0
    let serving: Serving
    let loop: EventLoop
    let metrics: RPCMetrics
    let logger: Logger
    let startedAt = MonotonicClock.now()
    /// The name of a served model that came from this path.
    public var nameOfModelAtPath: (_ path: String) -> String? = { _ in nil }
    /// Makes a model of a path that an administrator has named, if it may be used; by default, no path may be.
    public var modelAtPath: (_ path: String) throws(EngineError) -> ServedModel = { path throws(EngineError) in
        throw .pathNotAllowed(path: path)
    }
    /// Opens the file of an adapter that an administrator has named; by default, no path may be.
    public var adapterAtPath: (_ path: String) throws(EngineError) -> AttachedFile = { path throws(EngineError) in
        throw .pathNotAllowed(path: path)
    }
    private(set) var isStopping = false
    private(set) var runsInProgress = 0
    private(set) var requestCount: UInt64 = 0
    var connectionCount = 0 { didSet { metrics.connections.set(Double(connectionCount)) } }
    private var keptTensors = 0
    private var unfinishedBytes = 0
    private var onLastRun: (() -> Void)?

    public init(settings: Settings, serving: Serving, loop: EventLoop, metrics: RPCMetrics, logger: Logger) {
        self.settings = settings
        self.serving = serving
        self.loop = loop
        self.metrics = metrics
        self.logger = logger
    }

    var limits: RPCLimits { settings.limits }

    /// Takes other settings: keys at once, sizes for the connections that come from now on.
    public func apply(_ settings: Settings) {
        self.settings = settings
        settingsCount += 1
    }

    /// Calls `done` once no run is in progress; those that come from now on are refused by `Serving`.
    public func drain(_ done: @escaping () -> Void) {
        isStopping = true
        onLastRun = done
        reportLastRun()
    }

    func runBegan() { runsInProgress += 1 }

    func runEnded() {
        runsInProgress -= 1
        reportLastRun()
    }

    private func reportLastRun() {
        guard runsInProgress == 0, let done = onLastRun else { return }
        onLastRun = nil
        // The last answer is still to be written in this turn.
        loop.atEndOfTurn(done)
    }

    func countRequest(method: String, outcome: String) {
        requestCount += 1
        metrics.countRequest(method: method, outcome: outcome)
    }

    func model(_ name: String) -> ModelStatus? { serving.models.first { $0.name == name } }

    /// Takes a place for rows; false when there is none.
    func keepTensorBytes(_ count: Int) -> Bool {
        guard keptTensors + count <= limits.keptTensorBytes else { return false }
        keptTensors += count
        return true
    }

    func giveBackTensorBytes(_ count: Int) { keptTensors -= count }

    /// Counts bytes of messages that are not complete; false when there are too many.
    func holdUnfinished(_ change: Int) -> Bool {
        unfinishedBytes += change
        return change <= 0 || unfinishedBytes <= limits.unfinishedMessagesBytes
    }

    /// The most memory that the worker of a model has had: what the vendor's figure is too.
    func peakMemoryMebibytes(ofModel name: String) -> Double? {
        guard let processID = model(name)?.workerProcessID,
            let bytes = try? SmallFile.read(path: "/proc/\(processID)/status", limit: 64 << 10)
        else { return nil }
        for line in bytes.split(separator: UInt8(ascii: "\n")) where line.starts(with: "VmHWM:".utf8) {
            let digits = line.filter { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
            return Double(String(decoding: digits, as: UTF8.self)).map { $0 / 1024 }
        }
        return nil
    }
}
