/// Bounds of the HTTP server; a value over one of them gets a refusal that says so.
public struct HTTPLimits: Sendable, Equatable {
    // Sizes, in bytes, without line ends.

    /// Method, target and version: 414.
    public var requestLineBytes = 4_000
    /// One header field, name and value: 431.
    public var headerFieldBytes = 8_000
    /// Header and trailer fields of one request: 431.
    public var headerFields = 100
    /// All header and trailer fields together, line ends included: 431.
    public var headerBytes = 64 << 10
    /// One body: 413, before any of it is read if its length is announced.
    public var bodyBytes = 32 << 20
    /// Extensions of one chunk, which are ignored.
    public var chunkExtensionBytes = 256
    /// Extensions of all chunks of a request.
    public var chunkExtensionsBytes = 16 << 10
    /// Bodies of all connections that are not yet complete: 503.
    public var unfinishedBodiesBytes = 256 << 20

    // Times, in seconds.

    /// From the first byte of a request to the end of its header fields: 408.
    public var headSeconds = 10.0
    /// Until the next bytes of a body: 408.
    public var bodyReadSeconds = 30.0
    /// Between requests.
    public var idleSeconds = 75.0
    /// Without progress while a response waits for the client to read.
    public var writeStallSeconds = 60.0
    /// After the last response, for the client to close first.
    public var lingerSeconds = 2.0

    // Counts.

    /// Connections at the same time; those above get 503.
    public var connections = 1_024
    /// Connections above the limit that are kept for the moment that their refusal needs; those above are just closed.
    public var surplusConnections = 64
    /// Connections that are accepted in one turn of the loop.
    public var acceptsPerTurn = 64
    /// Bytes that are read with one call.
    public var readBytes = 64 << 10
    /// Bytes that are read and thrown away after a refusal, so that the client sees it.
    public var lingerBytes = 64 << 20
    /// Empty lines before a request line that are passed over.
    public var blankLines = 2

    public init() {}
}
