package retrieve

import (
	"math/bits"
	"strings"
)

// relations are groups of words for the same relation between a topic and an
// answer: a question that uses one is often answered with another. They are
// folded; within a word list, one word asks and every word answers.
var relations = [...][]string{
	{"逝世", "去世", "病逝", "过世", "死于", "卒", "死亡", "病死", "身亡", "遇难", "牺牲", "病故", "死", "died", "death", "passed away"},
	{"出生", "生于", "诞生", "出生地", "出身", "祖籍", "籍贯", "born", "birth"},
	{"别名", "又名", "别称", "俗称", "又称", "亦称", "也叫", "原名", "简称", "称为", "本名", "旧称", "名为", "绰号", "also known", "nickname"},
	{"名字", "叫什么", "名叫", "名为", "取名", "叫做", "称为", "姓名", "改名", "name", "named", "called"},
	{"职业", "担任", "任职", "职务", "职位", "出任", "就任", "任", "工作", "post", "position", "served", "job", "role"},
	{"毕业", "就读", "学历", "学位", "考入", "考上", "学院", "大学", "graduated", "studied", "degree"},
	{"创立", "成立", "创办", "建立", "创建", "设立", "组建", "兴建", "始建", "建成", "开办", "founded", "established", "created"},
	{"解散", "停办", "撤销", "结束", "关闭", "废止", "停止", "退役", "退出", "closed", "ended", "dissolved"},
	{"位于", "地处", "坐落", "座落", "位置", "地址", "地点", "在哪", "located", "address", "location"},
	{"原因", "由于", "因为", "因此", "因", "导致", "理由", "为由", "because", "reason", "due to", "cause"},
	{"目的", "为了", "以便", "旨在", "用于", "purpose", "in order to"},
	{"作用", "功能", "用途", "用于", "用来", "可以", "功效", "主治", "used for", "function", "helps"},
	{"特点", "特征", "特色", "特性", "呈", "具有", "外观", "feature", "characteristic"},
	{"价格", "费用", "收费", "价钱", "多少钱", "票价", "售价", "元", "免费", "price", "cost", "fee", "free", "$", "charge"},
	{"面积", "占地", "平方", "公顷", "area", "square"},
	{"高度", "多高", "高达", "海拔", "身高", "height", "tall", "high"},
	{"长度", "多长", "全长", "体长", "长达", "长约", "length", "long"},
	{"人口", "居民", "人", "population", "people"},
	{"作者", "著有", "所著", "撰写", "编写", "作品", "著作", "创作", "written", "author", "wrote"},
	{"导演", "执导", "拍摄", "directed", "director"},
	{"主演", "饰演", "演员", "扮演", "出演", "starring", "played"},
	{"发行", "出版", "推出", "发布", "上市", "上映", "发售", "released", "published", "launched"},
	{"发明", "发现", "提出", "设计", "研发", "开发", "invented", "discovered", "developed", "designed"},
	{"主办", "举办", "举行", "承办", "主办方", "召开", "held", "hosted", "organized"},
	{"赞助", "冠名", "资助", "sponsor", "funded"},
	{"获得", "荣获", "得到", "夺得", "获奖", "取得", "赢得", "won", "award", "received"},
	{"组成", "构成", "包括", "包含", "分为", "由", "consists", "includes", "made of", "composed"},
	{"分布", "产于", "原产", "生长", "栖息", "found in", "native", "habitat"},
	{"属于", "隶属", "科", "类", "belongs"},
	{"颜色", "色", "color", "colour"},
	{"妻子", "丈夫", "结婚", "娶", "嫁", "夫人", "配偶", "婚", "married", "wife", "husband", "spouse"},
	{"儿子", "女儿", "子女", "孩子", "长子", "次子", "育有", "生有", "之子", "son", "daughter", "children"},
	{"父亲", "母亲", "父母", "之父", "之母", "father", "mother", "parents"},
	{"影响", "造成", "导致", "结果", "后果", "使得", "affect", "impact", "result"},
	{"意义", "被视为", "标志", "重要", "significance", "important"},
	{"由来", "来源", "起源", "得名", "源于", "源自", "来自", "名称", "origin", "comes from"},
	{"定义", "是指", "指的是", "是", "定义为", "defined", "means", "refers"},
	{"首都", "首府", "省会", "capital"},
	{"爱好", "喜欢", "喜爱", "兴趣", "擅长", "hobby", "likes"},
	{"开始", "始于", "起", "开通", "启用", "开放", "began", "started", "opened"},
	{"退款", "退货", "退回", "退还", "返还", "refund", "return"},
	{"修改", "更改", "变更", "更换", "调整", "change", "modify", "update", "edit"},
	{"取消", "撤销", "终止", "退订", "cancel", "terminate", "unsubscribe"},
	{"支付", "付款", "缴费", "缴纳", "付费", "pay", "payment"},
	{"联系", "电话", "客服", "邮箱", "热线", "contact", "phone", "email", "support"},
	{"时限", "期限", "有效期", "工作日", "小时内", "天内", "之内", "within", "deadline", "valid", "expire"},
	{"登录", "登陆", "登入", "sign in", "log in", "login"},
	{"注册", "开户", "开通", "申请", "register", "sign up", "apply"},
	{"安装", "部署", "配置", "设置", "install", "setup", "configure", "deploy"},
	{"报错", "错误", "失败", "异常", "error", "fail", "failed"},
	{"为食", "吃什么", "食物", "食性", "捕食", "吃", "主食", "觅食", "eat", "diet", "feed"},
	{"习性", "生活方式", "栖息", "生活在", "活动", "夜行", "居", "habit"},
	{"用途", "价值", "可作", "可供", "食用", "药用", "用作", "用于", "制造", "use"},
	{"国籍", "哪国人", "国人", "哪个国家的人", "籍", "nationality"},
	{"代表作", "名作", "主要作品", "著有", "代表作品", "《", "works"},
	{"性质", "类型", "属性", "种类", "一种", "类", "型", "kind of", "type"},
	{"主角", "主人公", "讲述", "描述", "故事", "饰", "character"},
	{"条件", "要求", "必须", "需要", "符合", "资格", "须", "require", "must", "need"},
	{"容纳", "座位", "容量", "规模", "可容", "capacity", "seats"},
	{"优势", "优点", "好处", "有利", "方便", "advantage", "benefit"},
	{"缺点", "弊端", "不足", "缺陷", "问题", "disadvantage", "drawback"},
	{"内容", "讲述", "描写", "记载", "叙述", "记录", "about"},
	{"连接", "起点", "终点", "往来", "来往", "起于", "止于", "通往", "connect"},
	{"外形", "长相", "形状", "外貌", "体型", "呈", "形", "shape", "looks"},
	{"成绩", "战绩", "名次", "排名", "冠军", "亚军", "第", "rank", "result"},
	{"速度", "时速", "每小时", "speed", "per hour"},
	{"温度", "气温", "摄氏", "°", "℃", "temperature", "degrees"},
	{"重量", "体重", "公斤", "千克", "吨", "weight", "weigh", "kilogram", "pound"},
	{"语言", "方言", "官方语", "话", "language", "speak"},
	{"宗教", "信仰", "信奉", "教", "religion"},
	{"民族", "族", "ethnic"},
	{"气候", "降雨", "季风", "雨量", "climate"},
	{"经济", "产业", "农业", "工业", "出口", "economy", "industry"},
	{"票房", "销量", "收视", "万张", "卖出", "sold", "sales"},
	{"改编", "原著", "根据", "改编自", "adapted", "based on"},
	{"评价", "评论", "认为", "称赞", "批评", "好评", "review", "criticized", "praised"},
	{"罪名", "判处", "被判", "入狱", "逮捕", "徒刑", "罪", "convicted", "sentenced", "arrested"},
	{"业务", "经营", "从事", "生产", "制造", "主营", "business", "produces", "makes"},
	{"总部", "本部", "headquarter"},
	{"口号", "标语", "校训", "座右铭", "motto", "slogan"},
	{"继承", "接任", "继任", "接替", "即位", "继位", "succeeded", "successor"},
	{"任务", "职责", "负责", "responsible", "duty", "task"},
	{"症状", "表现为", "疼痛", "发热", "symptom"},
	{"治疗", "疗法", "手术", "药", "treat", "therapy", "cure"},
	{"营业时间", "开放时间", "几点", "开门", "关门", "营业", "opening hours", "open", "close"},
	{"送达", "多久能到", "几天能到", "配送", "送货", "寄送", "快递", "物流", "承运", "delivery", "deliver", "shipping", "arrive"},
	{"优惠", "折扣", "打折", "减免", "立减", "便宜", "折", "减", "discount", "off"},
	{"押金", "保证金", "预付", "deposit"},
	{"预约", "预订", "预定", "book", "reserve", "reservation"},
	{"清洁", "清洗", "擦拭", "洗", "擦", "clean", "wash", "wipe"},
	{"维修", "修理", "保修", "质保", "坏了", "修好", "修", "repair", "fix", "broke", "warranty", "covered"},
	{"摔坏", "摔落", "跌落", "掉地上", "摔", "drop"},
	{"过期", "有效", "到期", "失效", "作废", "expire", "run out", "valid"},
	{"包邮", "邮费", "运费", "免邮", "邮寄费", "shipping", "postage"},
	{"海外", "国外", "境外", "其他国家", "abroad", "overseas", "international", "other countries"},
	{"连接", "连不上", "配对", "连上", "pair", "connect"},
	{"恢复", "重置", "还原", "初始化", "reset", "restore", "original settings", "defaults"},
	{"发票", "收据", "票据", "invoice", "bill", "receipt"},
	{"型号", "规格", "尺寸", "大小", "size", "measure", "model"},
}

// relationSet is a set of relations.
type relationSet [2]uint64

func (r *relationSet) add(i int)               { r[i/64] |= 1 << (i % 64) }
func (r relationSet) has(i int) bool           { return r[i/64]>>(i%64)&1 == 1 }
func (r relationSet) empty() bool              { return r == relationSet{} }
func (r relationSet) count() int               { return bits.OnesCount64(r[0]) + bits.OnesCount64(r[1]) }
func (r relationSet) meets(o relationSet) bool { return r[0]&o[0]|r[1]&o[1] != 0 }

// related is the set of relations whose words occur in a folded text.
func related(text string) (set relationSet) {
	var has [256]bool // the bytes in it: most words have one that is not
	for i := range len(text) {
		has[text[i]] = true
	}
	for i, words := range relations {
		for _, w := range words {
			// A single character is too common to ask with.
			if len(w) > 3 && has[w[0]] && has[w[1]] && has[w[2]] && strings.Contains(text, w) {
				set.add(i)
				break
			}
		}
	}
	return set
}

// in returns the relations of r that a folded text has a word of.
func (r relationSet) in(text string) (set relationSet) {
	for i, words := range relations {
		if !r.has(i) {
			continue
		}
		for _, w := range words {
			if strings.Contains(text, w) {
				set.add(i)
				break
			}
		}
	}
	return set
}

// asksPrice reports a folded question for what something costs.
func asksPrice(text string) bool {
	for _, w := range [...]string{
		"多少钱", "几块钱", "几元", "多少元", "多少块", "价格", "价钱", "收费", "费用", "费多少", "怎么卖", "贵吗", "售价", "票价",
		"how much is", "how much are", "how much does", "how much do ", "how much for", "how much it cost", "price", " cost", "fee ", "fees", "fee?", "charge for",
	} {
		if strings.Contains(text, w) {
			return true
		}
	}
	return false
}

// hasPrice reports an amount of money in a folded text, or that there is none
// to pay.
func hasPrice(text string) bool {
	for _, w := range [...]string{"免费", "不收", "无需付", "free", "no charge", "at no cost", "$", "€", "£", "¥", "usd", "eur", "cny", "rmb", "dollar", "euro", "cents"} {
		if strings.Contains(text, w) {
			return true
		}
	}
	runes := []rune(text)
	for i, r := range runes {
		if strings.ContainsRune("元块角圆", r) && i > 0 {
			j := i - 1
			for j > 0 && runes[j] == ' ' {
				j--
			}
			if isNumeral(runes[j]) {
				return true
			}
		}
	}
	return false
}

// asksNumber reports a folded question for a number to call.
func asksNumber(text string) bool {
	for _, w := range [...]string{"电话", "手机号", "热线", "号码", "phone number", "telephone", "hotline"} {
		if i := strings.Index(text, w); i >= 0 && (strings.Contains(text, "多少") || strings.Contains(text, "几号") || strings.HasPrefix(text, "what") || len(text) == i+len(w)) {
			return true
		}
	}
	return false
}

// hasLongNumber reports five digits with nothing but signs of numbers between.
func hasLongNumber(text string) bool {
	n := 0
	for _, r := range text {
		switch {
		case r >= '0' && r <= '9':
			if n++; n == 5 {
				return true
			}
		case !strings.ContainsRune("-() +", r):
			n = 0
		}
	}
	return false
}
