/// What the drop-in libraries never exceed.
public enum RKLLMLibraryLimits {
    /// Inputs of one run.
    public static let batch = 100
    /// Bytes of rows that may be on their way from the worker.
    public static let tensorCreditBytes: UInt64 = 4 << 20
    /// How long an aborted run may go on before its worker is ended.
    public static let abortNanoseconds: UInt64 = 10_000_000_000
    /// The JSON of the tools.
    public static let toolsBytes = 1 << 20
}
