package chat

import "github.com/eino-qa/eino-qa/internal/kb"

// texts is what the assistant says by itself, in one language.
type texts struct {
	direct    map[act]string
	unknown   string // the knowledge base does not hold the answer
	handoff   string
	cancelled string
	nobody    string // no human came in time
	refused   string // the provider will not answer this
	noOrders  string // there are no orders to look at
}

func textsOf(l kb.Lang) texts {
	if l == kb.Zh {
		return textsZh()
	}
	return textsEn()
}

func textsZh() texts {
	return texts{
		direct: map[act]string{
			actGreet:  "您好！我是智能客服，可以根据知识库回答您的问题，并给出可核对的原文出处。请问有什么可以帮您？",
			actThanks: "不客气！还有其他问题可以随时问我。",
			actBye:    "再见，祝您一切顺利！",
			actWho:    "我是智能客服助手。我只根据知识库里的文档回答，每个回答都附有可点开核对的原文；知识库里没有的，我会直说，并可以为您转接人工。",
			actCancel: "好的，由我继续为您服务。请问有什么问题？",
		},
		unknown:   "知识库里没有找到这个问题的答案，我已经把它记录下来。您可以换个说法再问一次，或者回复“转人工”由人工客服为您解答。",
		handoff:   "已为您转接人工客服，请稍候。在人工客服接入之前您可以继续补充问题；回复“取消转人工”可以回到智能客服。",
		cancelled: "已取消转人工，由我继续为您服务。请问有什么问题？",
		nobody:    "抱歉，人工客服暂时没有接入，先由我继续为您服务。",
		refused:   "抱歉，这个问题我无法回答。如果需要帮助，请回复“转人工”。",
		noOrders:  "抱歉，我这里暂时查不到订单信息。请回复“转人工”，由人工客服为您查询。",
	}
}

func textsEn() texts {
	return texts{
		direct: map[act]string{
			actGreet:  "Hello! I answer questions from the knowledge base and show the exact passages I rely on. What would you like to know?",
			actThanks: "You're welcome! Ask me anything else at any time.",
			actBye:    "Goodbye, and all the best!",
			actWho:    "I am the assistant of this help desk. I answer only from the documents in the knowledge base, each answer with a quote you can open and check; when they do not hold the answer I say so and can hand you over to a person.",
			actCancel: "All right, I am here. What would you like to know?",
		},
		unknown:   "The knowledge base does not hold the answer to this; I have noted the question. You can ask in other words, or reply \"talk to a human\" and a person will help you.",
		handoff:   "I am handing you over to a person; please wait a moment. You can add details meanwhile, or reply \"cancel\" to come back to me.",
		cancelled: "The request for a person is cancelled, and I am here again. What would you like to know?",
		nobody:    "Sorry, nobody was free to take over. I will go on helping you for now.",
		refused:   "Sorry, I cannot answer this. If you need help, reply \"talk to a human\".",
		noOrders:  "Sorry, I cannot look up orders here. Reply \"talk to a human\" and a person will check it for you.",
	}
}
