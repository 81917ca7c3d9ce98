/// What a callback is told of one input; pointers are valid until it returns.
public struct RunResult {
    public enum State: UInt32, Sendable {
        case normal = 0
        case waiting = 1
        case finish = 2
        case error = 3
    }

    /// Rows of numbers.
    public struct Matrix {
        public let values: UnsafePointer<Float>
        public let rows: Int32
        public let columns: Int32
    }

    public struct Performance: Sendable {
        public var prefillMilliseconds: Float = 0
        public var prefillTokens: Int32 = 0
        public var generateMilliseconds: Float = 0
        public var generateTokens: Int32 = 0
        public var memoryMebibytes: Float = 0
    }

    public var text: UnsafePointer<CChar>
    public var token: Int32 = noToken
    public var hiddenStates: Matrix?
    public var logits: Matrix?
    public var performance = Performance()

    static let noToken: Int32 = -1
}

/// A program's callback with what is in front of it: gets one result for each input, and returns what it returned.
public struct RunCallback: @unchecked Sendable {
    /// What a callback's return value means, in the families that know it.
    static let pauses: Int32 = 1
    static let freesRows: Int32 = 2

    let call: ([RunResult], UnsafeMutableRawPointer?, RunResult.State) -> Int32
    /// For runs that have none of their own.
    let userdata: UserData

    public init(
        userdata: UnsafeMutableRawPointer? = nil,
        _ call: @escaping ([RunResult], UnsafeMutableRawPointer?, RunResult.State) -> Int32
    ) {
        self.userdata = UserData(pointer: userdata)
        self.call = call
    }
}
