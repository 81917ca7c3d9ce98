public import NativeEngine

/// The text of one choice: characters and stop strings first, and of what is left the tool calls.
public struct AssembledText: ChoiceText {
    private var assembler: TextAssembler
    /// Nil where the model was told of no tools.
    private var toolCalls: ToolCallSplitter?

    public init(_ options: TextOptions, limits: WorkerLimits = WorkerLimits()) {
        assembler = TextAssembler(stopStrings: options.stopStrings)
        toolCalls = options.findsToolCalls ? ToolCallSplitter(limits: limits) : nil
    }

    public var withheldBytes: Int { assembler.withheldBytes + (toolCalls?.heldBytes ?? 0) }

    public mutating func append(_ bytes: [UInt8], to output: inout ChoiceOutput) -> Bool {
        guard toolCalls != nil else { return assembler.append(bytes, to: &output.content) }
        var text = ""
        let isStopped = assembler.append(bytes, to: &text)
        toolCalls?.append(text, to: &output)
        return isStopped
    }

    public mutating func flush(to output: inout ChoiceOutput) {
        guard toolCalls != nil else { return assembler.flush(to: &output.content) }
        var text = ""
        assembler.flush(to: &text)
        toolCalls?.append(text, to: &output)
        toolCalls?.flush(to: &output)
    }
}
