public import EngineProtocol
public import Supervision

/// A model that can be asked for by its name: where it comes from, how it is loaded, and when.
public struct ServedModel {
    public struct Settings: Sendable, Equatable {
        public var sources: ModelSources
        /// Its memory limit is filled in with what the model is granted.
        public var load: LoadRequest
        /// Else the first request for it loads it.
        public var loadsAtStart: Bool
        /// How long it may be idle before it is unloaded; nil is for ever.
        public var idleNanoseconds: UInt64?
        /// Bytes that it may take; nil is its share of what there is.
        public var memoryBytes: UInt64?

        public init(
            sources: ModelSources, load: LoadRequest, loadsAtStart: Bool = true, idleNanoseconds: UInt64? = nil,
            memoryBytes: UInt64? = nil
        ) {
            self.sources = sources
            self.load = load
            self.loadsAtStart = loadsAtStart
            self.idleNanoseconds = idleNanoseconds
            self.memoryBytes = memoryBytes
        }

        /// Whether a worker that was loaded with other settings is one of these too.
        func makesTheSameWorker(as other: Settings) -> Bool {
            sources == other.sources && load == other.load && memoryBytes == other.memoryBytes
        }
    }

    public let name: String
    public var settings: Settings
    /// Makes a worker that has not been started.
    ///
    /// Its load request says how much memory it may take.
    let makeWorker: (Settings) -> any SupervisedWorker

    public init(name: String, settings: Settings, makeWorker: @escaping (Settings) -> any SupervisedWorker) {
        self.name = name
        self.settings = settings
        self.makeWorker = makeWorker
    }

    func makeWorker(memoryLimit: UInt64) -> any SupervisedWorker {
        var settings = settings
        settings.load.memoryLimit = memoryLimit
        return makeWorker(settings)
    }
}
