"""What Apus is and how to use it."""

from functools import partial

from grammar import Turn, one

HOW = "[How do I|How do I|How can one|What is the way to|Is there a way to|Can I|I want to|I would like to|Show me how to|Explain how to|Tell me how to|What do I do to|What must I do to|How would I|Is it possible to|Help me|Please help me to|Can you show me how to]"
HERE = "[| with Apus| in Apus| here| with this server| with this program| in this server]"

EXAMPLE_BODY = '{"messages":[{"role":"user","content":"Hello"}],"stream":true}'

# topic: (what people write, what the model answers, topics that may follow)
TOPICS = {
    "what": (["[Could you|Can you|Please] [sum up|summarise|explain|describe] [what Apus is|Apus|what this Apus is about|what Apus is all about|what this server is][| for a beginner| for a newcomer| briefly| for me]", "What is [Apus|this Apus|this Apus thing] [about|all about]?", "What is [Apus|this|this program|this server|this software|this project|this thing]?", "[Explain|Describe|Tell me about|What does|What can] Apus", "What does [Apus|this program|this server|this software] do?", "What is [Apus|this server|this program] [for|good for|used for]?", "What does the name Apus [mean|stand for]?", "Tell me [about Apus|more about Apus|something about Apus|what Apus is|about this server|more about this server]", "Explain [Apus|this server|this program] [to me|in simple words|in one sentence|briefly]", "[Apus|what is apus exactly|Apus?|Who or what is Apus|Why should I use Apus|What can Apus do|Why would I use Apus|Is Apus a server]", "I have [never heard of|just installed|heard of|just started] Apus. What is it?", "What [have I|did I] [installed|install|started|start] here?"],
             ["Apus is a local model server for Linux, written in Swift. It runs language models on your own computer and offers an OpenAI-compatible HTTP API.", "Apus runs language models on your own Linux computer and answers over an OpenAI-compatible HTTP API."], ["serve", "load", "api", "safe", "swift"]),
    "serve": ([HOW + " [start|run|launch|start up|use|begin with] [Apus|the server|this server]?", "How does [Apus|the server] start?", "[Which|What] command starts [Apus|the server]?", "[How do I serve a model|How do I use Apus|What is the command to start it|Getting started|How do I begin|How do I get started|Start the server|apus serve|What does apus serve do|What does the serve command do]?"],
              ["Type `apus serve MODEL.gguf`. Then open http://127.0.0.1:8080/ in your browser. Without a model, it serves this demo."], ["stream", "console", "port", "curl", "load"]),
    "load": ([HOW + " [load|use|run|open|try|serve|add|change to|switch to|bring|install] [my own model|another model|a different model|a GGUF file|a GGUF model|a bigger model|a better model|my model|my GGUF|a real model|a large model|my own GGUF file|some other model|a Llama model|a Qwen model]" + HERE + "?", "[Where do I put my model|How do I replace the demo model|How do I replace you|Which command loads a model|How do I load a model|How do I swap the model|Can I use other models|How to load GGUF|load a model|load my model|use my own gguf|How do I get a better model than you]?", "I [have|downloaded|got] a GGUF file[.| on my disk.|,] [What now|What do I do with it|How do I use it|What next|How do I run it|how do I load it]?", "[There is|I have|I keep|I put|Here is] a GGUF [on my disk|in my folder|on my computer|in my downloads|here][.|,|;| and] [how do I make Apus use it|how does Apus use it|how can Apus run it|how would Apus take it|how do I get Apus to run it|what do I type]?", "How does Apus [use|take|get|run|load|open] [my|my own|another|a different|the right] [model|file|GGUF|model file]?", "[How would|How could|How can] [one|I|somebody|a user] [start|launch|run|use] Apus with [a model of my own|my model file|another model|a GGUF file|their own model|one's own model|my GGUF]?", "[Instead of you|In place of the demo], [I want another model|can I run my own model|how do I use my own model][?|]", "I want [a smarter model|a better model|to use my own model|to load a gguf]"],
             ["Start Apus with the path of your GGUF file: `apus serve /path/to/MODEL.gguf`.", "Give its path to Apus: `apus serve /path/to/MODEL.gguf`. I am only the demo, so a real model will do much better."], ["gguf", "which", "stream", "memory", "context"]),
    "gguf": (["What is [GGUF|a GGUF file|a gguf]?", "What does GGUF mean?", "Explain [GGUF|the GGUF format]", "[Which|What] [file format|model format|kind of file|format of model|type of file] [do I need|does Apus use|does Apus need|can Apus read|does it support|works]?", "Where do I [get|find|download] [GGUF files|models|a model|a GGUF|bigger models|good models]?"],
             ["GGUF is a file format that holds a language model: weights, tokenizer and chat template in one file. Many models are published as GGUF on the internet."], ["load", "which"]),
    "which": (["[Which|What] [models|model families|kinds of models|architectures] [does Apus support|can Apus run|work with Apus|can I use|are supported|does it run|can I load|run here]?", "Does [Apus|it] [support|run|work with] [Llama|Qwen|Mistral|TinyLlama|SmolLM|Qwen3|Llama 3|Qwen2|Llama models]?", "[List the supported models|supported models|Can it run Llama|Can I run Qwen|Can I run Mistral|Is Llama supported|Is Qwen supported][?|]"],
              ["Apus runs models of the Llama family, such as Llama, Mistral and SmolLM, and Qwen2 and Qwen3, as GGUF files."], ["load", "gguf"]),
    "stream": (["[Can I|Is there a way to|How do I|I want to|Could I|Is it possible to] [watch|see|read|get|receive] the [answer|reply|text|words|output] [word by word|while it is written|as it is written|piece by piece|while the model writes|word after word|live|bit by bit|as it comes]?", "The [answer|reply|text] should [appear|come|arrive] [word by word|piece by piece|while it is written|bit by bit][.|. How|, how]?", HOW + " [stream|get streaming of|have streaming of|see word by word] [the answer|answers|the reply|the output|a response|tokens|the text]" + HERE + "?", "[Does Apus stream|How does streaming work|Can Apus stream|How do I turn on streaming|How do I enable streaming|Is streaming supported|Can answers be streamed|How do I get the text while it is written|Can I see the words as they come|What about streaming|Streaming|How do I get tokens one by one|stream with curl|How to stream|Explain streaming|Can the answer come piece by piece|Does it support SSE|What is SSE|How do I use server-sent events]?"],
               ["Add `\"stream\": true` to the JSON of your request. The answer then comes piece by piece as server-sent events. With curl, use `curl -N`."], ["curl", "api", "cancel", "python"]),
    "curl": ([HOW + " [call|use|ask|reach|talk to|query|send a request to] [the server|Apus|the API|the model|you] [with|by|from|using] [curl|the command line|the terminal|a shell]?", "[Give me|Show me|Write|I need] [a curl example|an example with curl|a curl command|an example request|a curl line|an example of a request]", "What is the curl command?", "[curl example|How do I use curl here|How does a request look|What does a request look like|An example please|Show an example request]?"],
             ["Try this: `curl -N http://127.0.0.1:8080/v1/chat/completions -H 'Content-Type: application/json' -d '{body}'`"], ["stream", "python", "api"]),
    "python": ([HOW + " [use|call|reach|connect to|access] [Apus|the server|the API|it|you] [from|with|in] [Python|the openai package|the OpenAI client|the OpenAI library|JavaScript|my program|my app|my code|my own application]?", "[Does the openai client work|Can I use the OpenAI Python client|Does it work with LangChain|Can I use Python|Which base URL do I use|What is the base_url|How do I connect my app|Which URL do I use for the openai client|Is there a Python client|Is there an SDK]?"],
               ["Use the openai client and set its base_url to http://127.0.0.1:8080/v1. Any text works as the key unless you have set one."], ["stream", "keys", "curl"]),
    "api": (["What [API|kind of API|interface|endpoints] [does Apus have|does it offer|is there|does the server have|can I call|are there|do you offer]?", "[Which|What] [endpoints|routes|URLs|paths] [are there|exist|can I use|does Apus have|does the API have]?", "Is [Apus|it|the API|this] [OpenAI-compatible|compatible with OpenAI|like the OpenAI API]?", "[Explain the API|Tell me about the API|Does Apus have a REST API|How does the API work|What is the address of the API|Where is the API|api docs|Does it have an HTTP API|Is there an HTTP interface][?|]"],
            ["Apus speaks the OpenAI HTTP API: `/v1/chat/completions`, `/v1/completions` and `/v1/models` on http://127.0.0.1:8080."], ["curl", "stream", "python", "keys", "json"]),
    "console": (["[Is there|Does Apus have|Where is|How do I open|Can I have|Where can I find|Show me|What is] [a web page|a console|the console|a user interface|a web interface|the web page|a chat page|a GUI|the console page|the web interface]?", "[Can I chat in the browser|How do I chat in my browser|Can I use it in a browser|Which page do I open|What do I open in the browser|How do I chat with a model in the browser|web ui|What is the address of the console]?"],
                ["Yes: open http://127.0.0.1:8080/ in your browser. There you can chat, change settings and see the speed.", "The console page is at http://127.0.0.1:8080/. Just open it in your browser."], ["chat", "port"]),
    "keys": (["[Only|I want that only|I want only] [people|users|clients|friends] [with|who have|who know|that hold] a [key|secret key|password|secret] [may use it|should get in|can use the server|can get in|may connect][.|. How|, how do I do that|. What do I set|. What must I do]?", "How do I [let in only|allow only|admit only] people [with|who have|who know] a [key|secret|password]?", HOW + " [set|use|add|require|protect the server with|create|configure|need|turn on] [an API key|API keys|a password|a key|keys|authentication|a token for access]" + HERE + "?", "[How do API keys work|Does Apus need a key|Do I need an API key|How do I protect the server|How do I secure the server|What about API keys|Where do I put my API key|Can I restrict access|API key|How do I keep strangers out|Is there authentication|How can I make others use a key|What does --api-key-file do|Can I set a password]?"],
             ["Write the keys into a file, one per line, and start `apus serve --api-key-file FILE MODEL.gguf`. Clients then send `Authorization: Bearer KEY`."], ["safe", "host"]),
    "safe": (["[Is Apus safe|Is this safe|Is it secure|Is Apus secure|Why is Apus safe|Can others reach my server|Can somebody from outside use it|Is my server open to the internet|Who can reach the server|Can my neighbour reach it|Does Apus listen on the internet|How safe is the server|What about security|Is it safe to run Apus|What about privacy|Does Apus send data away|Does it phone home|Does Apus need the internet|Does Apus work offline|Can I use it offline]?"],
             ["Apus listens only on this computer (127.0.0.1) by default, any other address needs an API key, and nothing is sent to the internet."], ["keys", "host", "crash"]),
    "host": ([HOW + " [reach|use|open|make available] [the server|Apus|it] [from another computer|from my phone|in my network|from outside|on all interfaces|over the network|from other machines]?", "[How do I listen on another address|What does --host do|Can I change the host|How do I open it to my network|How do I bind to 0.0.0.0|Can other computers use it]?"],
             ["Use `--host ADDRESS` together with `--api-key-file FILE`. Apus refuses other addresses without a key."], ["keys", "port"]),
    "port": (["[Port 8080|The port|Port 8080 of this machine|My port] is [already in use|taken|busy|used by another program|blocked|in use already][.||, what now|. What can I do]", "It says that the port is [already in use|taken|busy]", HOW + " [change|set|choose|use another|pick] [the port|port|port number]" + HERE + "?", "[Which port does Apus use|What port is used|On which port does it listen|What is the default port|What does --port do|Can I use port 9000|Port 8080 is in use|The port is taken, what now|How do I run it on another port|default port|Which port|What is the port number|My port is already used]?"],
             ["The default port is 8080. Choose another one with `--port`, for example `apus serve --port 9000 MODEL.gguf`."], ["host", "console"]),
    "metrics": (["[Where|At which address|At which URL|On which page|Under which path] [are|do I find|can I find|can I read|does Prometheus find|do I get] [the metrics|the numbers|numbers for Prometheus|the figures|the statistics|metrics for my dashboard|data for Grafana]?", "[My|I have a] [Prometheus|Grafana|dashboard|monitoring][ needs| wants| needs some] [numbers|metrics|data|figures][. Where are they|, where|. Which address|]?", HOW + " [see|get|read|collect|watch|monitor|measure|scrape] [metrics|the metrics|statistics|the server|how busy the server is|the load|usage numbers|performance numbers]" + HERE + "?", "[Does Apus have metrics|What about metrics|Does it work with Prometheus|How do I use Prometheus|Where are the metrics|Can I monitor it|Is there a metrics page|metrics|Prometheus|How do I connect Grafana|Is there monitoring|What is at /metrics|How many requests did the server handle]?"],
                ["Metrics are at http://127.0.0.1:8080/metrics in the Prometheus text format."], ["ready", "logs"]),
    "ready": (["[How do I know that the server is ready|How do I check if the server is up|Is there a health check|Where is the health check|What is /readyz|What is /livez|How do I test that it runs|How do I see if the model is loaded|Is there a readiness probe|health check|How can Kubernetes check it|How do I check the health of the server|How do I tell whether Apus is running|Which probes are there|liveness probe|How can I see that it is alive]?"],
              ["`/livez` says that the server lives, and `/readyz` says that the model is loaded and ready."], ["metrics", "crash"]),
    "context": ([HOW + " [change|set|increase|make bigger|limit|choose] the [context|context length|context size|context window]" + HERE + "?", "[What is the context length|What does --context do|How long can a conversation be|How much text can the model read|How long may a prompt be|Why is my prompt too long|The prompt is too long|What is a context window|How do I get a longer context|My prompt is too long, what now|How large is the context]?"],
                ["Set it with `--context N`, for example `apus serve --context 4096 MODEL.gguf`. It is the number of tokens that prompt and answer may have together."], ["memory", "parallel", "token"]),
    "parallel": ([HOW + " [serve|answer|handle|allow] [several users|many users|several requests|many requests|requests in parallel|more clients|requests at once] [at the same time|at once|together|in parallel|]?", "[What does --parallel do|Can many people use it|How many requests can it handle|Can it answer two people at once|Does Apus batch requests|What is batching|How many users can it serve|Is there continuous batching|parallel requests|How do I set the number of parallel requests]?"],
                 ["Use `--parallel N`: then up to N requests are computed together, token by token. More requests wait in a queue."], ["threads", "context"]),
    "threads": ([HOW + " [set|change|limit|choose|use more|use fewer] [threads|the number of threads|CPU threads|cores|CPU cores]" + HERE + "?", "[What does --threads do|How many cores does Apus use|How many threads are used|Can I use all my cores|Apus uses too much CPU|How do I limit the CPU|thread count|It takes all my CPU]?"],
                ["Use `--threads N`. Without it, Apus takes the number of CPU cores that it is allowed to use."], ["slow", "parallel"]),
    "slow": (["[Why is it slow|Why is Apus slow|How do I make it faster|It is too slow|How fast is Apus|How can I speed it up|Make it faster|Can it be faster|How many tokens per second does it make|The answers are slow|My model is slow|How do I measure the speed|How do I benchmark it|What does apus bench do|How do I run a benchmark|benchmark|How fast is my model|speed test]?"],
             ["Measure it with `apus bench MODEL.gguf`. A smaller model or a smaller format such as Q4_K is faster, and `--threads` sets the number of cores."], ["threads", "quant", "gpu"]),
    "gpu": (["[Does Apus use the GPU|Does it need a GPU|Do I need a graphics card|Can Apus use CUDA|Does it run on the CPU|Is a GPU supported|Do I need special hardware|GPU support|Can I use my graphics card|What hardware do I need|Does it work without a GPU|Which computer do I need]?"],
            ["Apus computes on the CPU. You need no graphics card, only enough memory for the model."], ["memory", "slow"]),
    "memory": (["[How much memory does Apus need|How much RAM do I need|How much memory does a model need|Will my model fit|I run out of memory|Out of memory|How big may a model be|How much RAM does it take|Does a large model fit into my memory|memory use|What if I have little memory]?"],
               ["You need about the size of the GGUF file plus memory for the context. `apus doctor` shows how much memory you have."], ["doctor", "quant", "context"]),
    "quant": (["[What is quantisation|What is quantization|What does Q8_0 mean|What does Q4_K mean|Which quantisation should I take|What is Q4_0|Which formats of weights are supported|Explain quantisation|Which GGUF type should I choose|Does Apus support Q4_K]?"],
              ["Quantisation stores the weights with fewer bits, so that a model is smaller and faster. Apus reads F32, F16, BF16, Q8_0, Q4_0, Q4_K and Q6_K."], ["memory", "load"]),
    "run": ([HOW + " [ask one question|get one answer|run a model once|get a single answer|use it in a script] [in the terminal|from the command line|from the shell|without a server|in a script]?", "[What does apus run do|How do I use apus run|What is apus run|Can I use a model without the server|How do I run a prompt from the shell|One answer on the command line please]?"],
            ["Type `apus run MODEL.gguf \"Your question\"`. It prints one answer and ends."], ["chat", "tokenize"]),
    "chat": ([HOW + " [chat|talk|have a conversation] [in the terminal|in a terminal|on the command line|from the shell|in the console window]?", "[What does apus chat do|How do I use apus chat|What is apus chat|Is there a terminal chat|Can I chat without a browser|How do I stop an answer in the terminal]?"],
             ["Type `apus chat MODEL.gguf`. Ctrl-C stops an answer, and `/help` shows the commands."], ["run", "console"]),
    "tokenize": ([HOW + " [count tokens|see the tokens|see the tokens of a text|tokenize a text|get token ids|see how a text is split]" + HERE + "?", "[What does apus tokenize do|How many tokens has my text|How do I use apus tokenize|Is there a tokenizer tool]?"],
                 ["Type `apus tokenize MODEL.gguf \"Your text\"`. It prints the token ids."], ["token", "score"]),
    "token": (["[What is a token|What are tokens|Explain tokens|What does token mean|What is a token in a language model|What is meant by tokens]?"],
              ["A token is a piece of text, such as a word or a part of a word. A model reads and writes one token after the other."], ["tokenize", "context"]),
    "score": ([HOW + " [score a text|measure perplexity|compute the perplexity|rate a text|measure how good a model is]" + HERE + "?", "[What does apus score do|How do I use apus score|How do I get the perplexity of a file|What is perplexity]?"],
              ["Type `apus score MODEL.gguf FILE`. It prints the number of tokens and the perplexity: the lower, the better the model fits the text."], ["inspect"]),
    "inspect": ([HOW + " [look into|see what is in|inspect|look inside|see the metadata of|get details of] [a GGUF file|a model file|my model|a model|a gguf]?", "[What does apus inspect do|How do I see what is in a GGUF file|How do I see the metadata|What is inside my model file|How do I list the tensors|What is in my gguf]?"],
                ["Type `apus inspect MODEL.gguf`. It shows the metadata and the tensors."], ["tokenize", "doctor"]),
    "doctor": (["[What does apus doctor do|How do I check my machine|Is my computer good enough|How do I use apus doctor|How do I find problems|Something is wrong with my set-up|How do I check that everything works|Apus does not start|It does not work|Why does it not work|I get an error|Something does not work|Apus does not work here|How do I find the error|How do I debug Apus|It is broken|I have a problem with Apus|My server does not start|Troubleshooting]?"],
               ["Type `apus doctor`. It checks CPU, memory, limits and model files, and says what is wrong."], ["config", "logs"]),
    "config": ([HOW + " [configure Apus|change the settings|set options|use a configuration file|see the settings|check my configuration|set up Apus]?", "[Is there a configuration file|Where are the settings|What does apus config check do|How do I check the configuration|Which settings are in use|Can I use environment variables|How do I change settings|Where do settings come from|How do I use --config]?"],
               ["Settings come from a JSON file (`--config FILE`), from `APUS_` environment variables and from flags. `apus config check` shows all of them and where each came from."], ["port", "threads", "context"]),
    "logs": (["[Where are the logs|How do I see the log|Does Apus write logs|Where does Apus log|What is in the logs|Are prompts logged|Is my text in the logs|Does the log contain my prompts|How do I read the log|logging]?"],
             ["Apus writes its log to stderr, one line per event. Your prompts are never in it."], ["metrics", "safe"]),
    "json": (["[Could|Can|Will|Would] [Apus|the server|the model|it] [be made to |be forced to |]([answer|reply|write|respond]) [in JSON|in valid JSON|only in JSON|with JSON|strictly in JSON|with a JSON object]?".replace("([", "[").replace("])", "]"), "[I need|I want|Give me] [JSON|valid JSON|JSON answers|a JSON object|only JSON][ from the model| as output| back|][.|, is that possible|, how]?", "[Does Apus support JSON mode|How do I get JSON output|Can I get JSON|How do I force JSON|Can the model answer in JSON|Is there structured output|What about JSON output|JSON mode|Can I use a JSON schema|Does response_format work|How do I get structured output|Can I have the answer as JSON|json output|How do I make the model answer in JSON|Are grammars supported|Can I get output in JSON format]?"],
             ["Not in this version: JSON output is on the roadmap. You can ask a good model to write JSON, but nothing enforces it yet."], ["tools", "embed", "roadmap"]),
    "embed": (["[Does Apus support embeddings|How do I get embeddings|Can I make embeddings|Is there an embeddings endpoint|What about embeddings|embeddings|Can I use it for embeddings|Does /v1/embeddings work|How do I compute embeddings|Can it embed text|Can I build search with it|Are embeddings supported|Does it do RAG|Can I get vectors for my texts]?"],
              ["Not in this version: embeddings are on the roadmap."], ["json", "tools", "roadmap"]),
    "tools": (["[Does Apus support tool calls|Can the model call functions|Is function calling supported|What about tools|Do tool calls work|Can I use tools|function calling|Does it support agents|How do I use function calling|How do I define a tool|Are tools supported|Can it call my functions]?"],
              ["Not in this version: tool calls are on the roadmap."], ["json", "embed", "roadmap"]),
    "images": (["[Can Apus read images|Does it support images|Can I send a picture|Is vision supported|What about images|Does Apus do speech|Can it make images|Does it support audio|Can I send a photo to the model|Are pictures supported]?"],
               ["Not in this version: Apus works with text only for now."], ["roadmap", "embed"]),
    "roadmap": (["[What is on the roadmap|What comes next|What is missing|Which features are missing|What does Apus not support|What will come later|What can Apus not do yet|Which features are planned|When will it come|When does it come|When|roadmap|What is planned for Apus|What are the limits of this version]?"],
                ["JSON output, tool calls and embeddings are on the roadmap. I do not know the dates."], ["json", "embed"]),
    "processes": (["[How does Apus work|How does Apus work inside|How is Apus built|What is the gateway|What is the worker|What is apus-worker|Why are there two processes|What does the worker do|What does the gateway do|Explain the architecture|What processes does Apus have|How does the server work inside|Why two programs|Tell me about the architecture|What happens to my request|What is the difference between gateway and worker]?"],
                  ["Apus has two processes: the gateway talks HTTP with the clients, and the worker runs the model. If the worker fails, the gateway stays up."], ["crash", "safe"]),
    "crash": (["[Suppose|Imagine|Say|If|When|What if] the [worker|worker process|model|model process] [dies|crashes|falls over|fails|breaks|stops|gets killed] [in the middle of an answer|during a request|while it writes|suddenly|at night|while I chat|][, what then|, what happens|, what happens to my request|. What then|, is all lost]?", "[What happens if the worker crashes|What happens when the model crashes|What if the worker dies|What if Apus crashes|What happens after a crash|Is a crash a problem|Does a crash lose my request|What happens if the worker process is killed|What if the model fails|Does the server survive a crash|Will Apus restart by itself|What happens when it crashes]?"],
              ["Running requests get a clear error, and the gateway starts a new worker by itself. The server stays up."], ["processes", "ready"]),
    "cancel": ([HOW + " [stop|cancel|abort|interrupt|end] [an answer|a request|a running request|the answer|a long answer|a generation]" + HERE + "?", "[What happens if I close the connection|Can I stop an answer|What if the client goes away|How do I cancel|Does it stop when I disconnect|How do I stop it from writing]?"],
               ["Just close the connection: Apus then stops computing. You can also send `DELETE /v1/requests/ID`."], ["stream", "api"]),
    "stopserver": ([HOW + " [stop|quit|end|shut down|close|exit|turn off] [Apus|the server|this server]?", "[How does the server stop|How do I exit|Which key stops the server|How do I end it]?"], ["Press Ctrl-C in the terminal where Apus runs."], ["serve"]),
    "temperature": (["[What is temperature|What does temperature do|How do I set the temperature|Which temperature should I use|How do I make answers less random|How do I get the same answer each time|What is top_p|How do I make the model more creative|Explain temperature|Can I set a seed|How do I get the same result twice|Which sampling settings are there|What is a seed|What is sampling]?"],
                    ["Send `\"temperature\": 0` for the most likely answer, or about 0.8 for more variety. With a `\"seed\"` the same request gives the same answer."], ["length", "api"]),
    "length": (["[How do I limit the length of an answer|What is max_tokens|How do I get shorter answers|How do I set the maximum length|Why was my answer cut off|My answer is cut off|How do I get longer answers|What does max_tokens do|The answer stops too early]?"],
               ["Set `\"max_tokens\"` in the request. Without it, a chat answer may fill the rest of the context."], ["context", "temperature"]),
    "install": ([HOW + " [install|build|compile|set up|get|download] Apus?", "[Where can I get Apus|How do I build Apus|How is Apus installed|What do I need to build it|Which command builds Apus|How to install|What do I need for Apus|How do I run the tests]?"],
                ["In the Apus folder, `make run` builds and starts everything, and `make test` runs the tests. You need Linux and Swift 6."], ["serve", "system"]),
    "system": (["[Does Apus run on Windows|Does Apus run on Mac|Which operating system do I need|Does it work on Linux|Can I run Apus on a Raspberry Pi|Does it work on macOS|Is there a Windows version|Which systems are supported|Does it run in Docker|What system do I need|Is Apus only for Linux]?"],
               ["Apus is made for Linux. It needs Swift 6 to build."], ["install", "gpu"]),
    "swift": (["[What language is Apus written in|In which language is Apus written|Why Swift|Why is Apus written in Swift|Which programming language does Apus use|Is Apus written in Rust|Is Apus written in Python|What is Swift]?"],
              ["Apus is written in Swift, a fast and safe programming language. A few kernels are in C."], ["what", "system"]),
    "free": (["[Is Apus free|What does Apus cost|Which licence does Apus have|Is Apus open source|How much does it cost|Do I have to pay|Can I use it at work|What is the license|What licence is it|Who made Apus|Is it free|Can I use Apus commercially]?"],
             ["Apus is open source under the Apache 2.0 licence, and it is free."], ["what", "install"]),
    "modelslist": ([HOW + " [list|see] [the models|loaded models|which model is loaded|the available models]?", "[Which models are loaded|What is the id of the model|What model name do I send|What do I write as the model|How is my model called in the API|Where is the list of models|What goes into the model field]?"],
                   ["`GET /v1/models` lists the models. The id is the file name without its ending, unless you start with `NAME=MODEL.gguf`."], ["load", "api"]),
    "errors": (["[What does error 400 mean|What does error 503 mean|What does 429 mean|I get error 404|I get a 401|What do errors look like|I got a 503|What is context_length_exceeded|Why do I get status 400|What does status 503 mean|error 401|error 429]?"],
               ["Each error says in plain words what is wrong: 400 is a bad request, 401 a missing key, 404 an unknown model, 429 too many requests, and 503 means that the model is not ready."], ["ready", "keys"]),
    "demo": (["[What is the demo model|Why is there a demo model|Are you good for real work|Can I use you for real work|Why do you know so little|Should I use you for my work|What is the difference between you and a real model|Can I trust you|Can I rely on your answers|Are your answers right|What are you bad at|What can you not do|What are your limits|Are you a real model|Do you make mistakes]?"],
             ["I am only a tiny demo and make mistakes. For real work, load a real model: `apus serve MODEL.gguf`."], ["load", "which"]),
}

FOLLOW = {  # short questions that only make sense after another topic
    "stream": ["And how do I stream it?", "[And|What about|How about] streaming?", "[Can I stream it|And can it stream|How do I stream that|and streaming|Can it be streamed]?"],
    "load": ["[And how do I load one|How do I load one|How do I load that|And how do I load my own|How do I do that|And my own model|How do I change that]?"],
    "gguf": ["[What is a GGUF|And what is GGUF|What does GGUF mean|Where do I get one]?"],
    "which": ["[Which ones work|Which ones|And which models work|Which kinds]?"],
    "curl": ["[Can you give me an example|And with curl|For example|An example please|Show me an example|How does that look|Do you have an example]?"],
    "python": ["[And from Python|And in Python|What about Python|And with Python|How about the openai client]?"],
    "keys": ["[And how do I set a key|And with a key|How do I protect it|And API keys|What about a password]?"],
    "port": ["[And on another port|Can I change the port|And the port|Which port is it]?"],
    "console": ["[And in the browser|Is there also a web page|Can I also use a browser|And a web page]?"],
    "crash": ["[And if it crashes|What if it crashes|And what happens when it fails|What if it dies|And if the worker dies]?"],
    "safe": ["[And is it safe|Is that safe|Is that secure|Is it safe]?"],
    "memory": ["[How much memory do I need for that|Does it need much memory|And the memory|How much RAM is that]?"],
    "context": ["[And the context length|What about the context|How long can it be]?"],
    "metrics": ["[And metrics|What about metrics|And where do I see metrics]?"],
    "json": ["[And JSON|What about JSON|Can it give me JSON|And JSON output]?"],
    "embed": ["[And embeddings|What about embeddings|How about embeddings]?"],
    "tools": ["[And tool calls|What about tools|And function calling]?"],
    "roadmap": ["[When will that come|When does it come|And when|When|When will it be ready|What else is missing]?"],
    "serve": ["[And how do I start it|How do I start it|How do I run it|Which command|What is the command|How do I use it|How do I begin]?"],
    "swift": ["[Which language is it written in|And what is it written in]?"],
    "threads": ["[And how many threads|How do I set the threads|Can I use more cores]?"],
    "chat": ["[And in the terminal|Can I also chat in the terminal|And without a browser]?"],
    "demo": ["[And you|Can I use you instead|Are you good enough]?"],
}
WHY = {
    "safe": "Because a server that anyone can reach could be misused. So Apus is closed until you open it.",
    "keys": "So that only people with a key can use your server.",
    "processes": "So that a problem in a model can not bring down the whole server.",
    "crash": "Because the gateway and the worker are separate processes.",
    "load": "Because I am tiny. A larger model knows far more and writes better.",
    "demo": "Because I have fewer than 5 million parameters. Real models have many more.",
    "stream": "So that you can read the answer while it is being written.",
    "json": "Because it needs careful work, and it is not finished yet.",
    "embed": "Because it is not finished yet.",
    "tools": "Because it is not finished yet.",
    "threads": "Because more threads than cores would only make it slower.",
    "gpu": "Because it should run on every ordinary computer.",
    "host": "Because an open server without a key would not be safe.",
    "swift": "Because Swift is fast and prevents many kinds of mistakes.",
    "quant": "Because smaller weights need less memory, and reading memory takes most of the time.",
}


def why(topic, rng, state):
    return Turn(one(rng, ["[Why|Why is that|Why so|How come|Why not|And why|But why|For what reason|Why is it so][?|]"]), WHY[topic])


def topic(name, rng, state, short=False):
    users, answers, next_topics = TOPICS[name]
    user = one(rng, FOLLOW[name] if short else users)
    follows = [partial(topic, n, short=True) for n in next_topics if n in FOLLOW]
    if name in WHY:
        follows.append(partial(why, name))
    return Turn(user, one(rng, answers, body=EXAMPLE_BODY), follows)


WEIGHTS = {"what": 5, "serve": 4, "load": 6, "stream": 5, "keys": 3, "json": 2.5, "metrics": 2.5, "embed": 2, "console": 2, "crash": 2, "demo": 2, "api": 2, "safe": 2}


def apus(rng, state):
    names = list(TOPICS)
    return topic(rng.choices(names, [WEIGHTS.get(n, 1.3) for n in names])[0], rng, state)
