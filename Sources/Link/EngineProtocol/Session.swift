/// Names a session of a worker; whoever opens it chooses the number, and never uses it again.
public struct SessionID: RawRepresentable, Hashable, Sendable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// The session that a generation belongs to: a sequence of positions that is its own.
///
/// A session runs one generation at a time. A generation goes on after the positions that the session holds if it, and
/// the one before it, keeps its history, or if that one was paused; else the session begins anew. One that fails leaves
/// the session as it was; one that is cancelled leaves what had come.
public struct SessionUse: Sendable, Equatable {
    public var id: SessionID
    /// The next generation may go on where this one ends.
    public var keepsHistory: Bool
    /// Writes the prompt's part of the cache to the file that comes beside the request, before the generation ends.
    public var savesCache: Bool
    /// Positions that the session may hold with this generation; nil: as many as the model's context.
    public var contextLength: UInt32?

    public init(
        id: SessionID, keepsHistory: Bool = false, savesCache: Bool = false, contextLength: UInt32? = nil
    ) {
        self.id = id
        self.keepsHistory = keepsHistory
        self.savesCache = savesCache
        self.contextLength = contextLength
    }

    /// The positions that there are for prompt and answer, of so many that the model has.
    public func positions(of model: Int) -> Int { min(model, contextLength.map(Int.init) ?? model) }
}

/// What can be done to a session while nothing runs in it.
public enum SessionChange: Sendable, Equatable {
    /// Forgets all positions, or all but the system prompt of the chat that they began with.
    case clear(keepsSystemPrompt: Bool)
    /// Forgets positions from `first` to before `end`; what follows them moves up.
    case clearRange(first: UInt32, end: UInt32)
    /// Reads a file that `SessionUse.savesCache` wrote; prompts that begin like the saved one need not compute it again.
    ///
    /// The file comes beside the request. It replaces one that was loaded before.
    case loadCache
    /// Lets go of what `loadCache` read.
    case releaseCache
}

/// What a session holds.
public struct SessionState: Sendable, Equatable {
    /// Positions that the next generation would go on after.
    public var positions: UInt32
    /// Positions of the prompt cache that was loaded; 0 is none.
    public var cachedPositions: UInt32
    /// Its last generation was paused.
    public var isPaused: Bool

    public init(positions: UInt32 = 0, cachedPositions: UInt32 = 0, isPaused: Bool = false) {
        self.positions = positions
        self.cachedPositions = cachedPositions
        self.isPaused = isPaused
    }
}
