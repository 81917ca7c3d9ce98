/// Bounds of the HTTP API, beside those of HTTP itself and of JSON.
public enum OpenAILimits {
    public static let messages = 4096
    public static let inputs = 128
    /// Inputs times choices.
    public static let choices = 128
    public static let stopStrings = 4
    public static let stopStringBytes = 1024
    public static let stopTokenIDs = 128
    public static let logitBiases = 1024
    public static let topLogProbabilities: Int64 = 20
    public static let dryAllowedLength: Int64 = 1024
    public static let drySequenceBreakers = 32
    public static let drySequenceBreakerBytes = 128
    public static let modelNameBytes = 256
    public static let pathBytes = 4096
    public static let userBytes = 256
    public static let cacheSaltBytes = 128
    /// Frames that wait for a slow socket before the outbox has to hold the rest.
    public static let pendingResponseBytes = 64 << 10
    public static let keepAliveNanoseconds: UInt64 = 15_000_000_000
    public static let defaultCompletionTokens: UInt32 = 16
}
