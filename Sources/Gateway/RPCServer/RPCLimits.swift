/// Bounds of the JSON-RPC door, beside those of JSON itself; a value over one of them gets an error that says so.
public struct RPCLimits: Sendable, Equatable {
    // Messages

    /// One message, which is one line.
    public var messageBytes = 64 << 20
    /// Messages of all connections that have not been read to their end.
    public var unfinishedMessagesBytes = 256 << 20
    /// Arrays and objects inside each other.
    public var depth = 64
    /// Values of one message, containers included.
    public var values = 1 << 20
    /// Requests of one batch.
    public var batchRequests = 64

    // Connections

    public var connections = 256
    /// Requests of one connection, malformed ones included; twice as many may come at once.
    public var requestsPerSecond = 1_000
    /// Requests beyond that rate that are refused before the connection is closed; they come back at the same rate.
    public var refusedRequests = 10_000
    /// Runs of one connection that have not ended.
    public var runs = 64
    /// Open handles of one connection.
    public var handles = 64
    /// Handles of one connection that keep something between runs.
    public var sessions = 16
    /// Wrong keys before a connection is closed.
    public var authenticationAttempts = 3
    /// Output that waits for a slow socket before nothing more is read from it, and outboxes have to hold the rest.
    public var pendingOutputBytes = 64 << 10
    /// Connections that are accepted in one turn of the loop.
    public var acceptsPerTurn = 64
    /// Bytes that are read with one call.
    public var readBytes = 64 << 10

    // Times

    /// Until a connection that needs a key has shown one.
    public var authenticationNanoseconds: UInt64 = 10_000_000_000
    /// Until the next bytes of a message that has begun.
    public var messageStallNanoseconds: UInt64 = 30_000_000_000
    /// Without progress while output waits for the client to read.
    public var writeStallNanoseconds: UInt64 = 30_000_000_000
    /// After the last answer, for the client to close first.
    public var lingerNanoseconds: UInt64 = 2_000_000_000
    /// How long `rkllm.init` waits for a model that is being loaded.
    public var initNanoseconds: UInt64 = 120_000_000_000

    // Values

    /// Values of a tensor that is written as an array of numbers; a larger one is written in base64.
    public var inlineTensorValues = 1_024
    /// Bytes of tensors that are kept for clients: rows that they want at the end, and cross attention.
    public var keptTensorBytes = 256 << 20

    /// One string of a chat template.
    public static let templateBytes = 64 << 10
    /// Definitions of tools, as JSON text.
    public static let toolsBytes = 256 << 10
    /// A prompt; the engine has its own limit, which may be lower.
    public static let promptBytes = 16 << 20
    /// Rows of images, in base64.
    public static let imageBytes = 64 << 20
    /// Logits that are chosen of a row.
    public static let chosenLogits = 1_024
    public static let stopStrings = 4
    public static let stopStringBytes = 1_024
    /// What a client wants back with every message of a stream, as JSON text.
    public static let userdataBytes = 1_024
    /// Inputs of one run.
    public static let batchInputs = 100
    public static let pathBytes = 4_096
    public static let nameBytes = 256

    public init() {}
}
