import EngineProtocol
import Sampling

/// A generation whose input is tokenized and checked: all that the engine loop needs, and nothing that can fail.
public struct PreparedGeneration: Sendable {
    /// Tokens of each input, none of them empty.
    let prompts: [[Int32]]
    let choicesPerInput: UInt32
    /// Tokens to generate, for each input.
    let maximumTokens: [Int]
    /// For each input, with its prompt counted; each choice takes a copy.
    let samplers: [Sampler]
    let stopStrings: [String]
    let stopTokens: Set<Int32>
    let logProbabilities: LogProbabilityOptions?
    let speculation: SpeculationMode
    let cacheSalt: String
    let tenant: String
    let priority: Int8
    let deadline: UInt64
    /// Nanoseconds that template, tokenizer and checks took.
    public var preparationNanoseconds: UInt64

    public var promptTokens: Int { prompts.reduce(0) { $0 + $1.count } }
    /// Of another tenant's prompts nobody can tell from the time of an answer that they are known, whatever the salt.
    var blockSalt: String { cacheSalt.isEmpty ? "" : "\(tenant)\u{0}\(cacheSalt)" }
    var sequenceCount: Int { prompts.count * Int(choicesPerInput) }
    /// The input that a choice continues.
    func input(of choice: UInt32) -> Int { Int(choice / choicesPerInput) }
}

/// A text to score, tokenized and cut into windows.
public struct PreparedScore: Sendable {
    let windows: ScoreWindows
    public var preparationNanoseconds: UInt64
}
